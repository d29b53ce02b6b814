// Changing a run right there: an editor takes the place of what it changes; what is saved is queued by the mirror.
"use strict";

(() => {
  const { el } = wm;

  // Pages draw nothing anew while somebody types.
  wm.isEditing = () => document.querySelector("[data-editing]") !== null;

  // Puts an editor into a place; `save()` resolves when the change is queued, and then `done()` draws what is so now.
  // What stood there comes back, and the focus to the button that opened it, or to the one that took its place.
  wm.editor = (place, { label, controls, save, done }) => {
    const before = [...place.childNodes], cameFrom = document.activeElement;
    const trouble = el("div");
    const close = () => {
      delete place.dataset.editing;
      place.replaceChildren(...before);
      focusBack();
    };
    const focusBack = () => {
      const again = cameFrom.isConnected ? cameFrom : document.querySelector(`[aria-label="${CSS.escape(cameFrom.ariaLabel || "")}"]`);
      again?.focus();
    };
    const cancel = () => {
      close();
      done().catch(wm.sayError); // news had to wait for the end of the editing
    };
    const button = el("button", { class: "main" }, "Queue change");
    const form = el("form", { class: "editor", "aria-label": label,
      onsubmit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        try {
          await save();
          close();
          await done();
          focusBack();
        } catch (error) {
          if (!(error instanceof wm.Refused)) console.error(error);
          wm.fill(trouble, wm.trouble(error));
          button.disabled = false;
        }
      },
      onkeydown: (event) => {
        if (event.key === "Escape") cancel();
        else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
        else return;
        event.preventDefault();
        event.stopPropagation();
      },
    }, controls, el("div", { class: "row" }, button, el("button", { type: "button", onclick: () => cancel() }, "Cancel")), trouble);
    place.dataset.editing = "";
    wm.fill(place, form);
    const first = form.querySelector("input, textarea, select");
    first?.focus();
    if (first?.matches("input")) first.select();
  };

  // Queues changes `{name: {was, is}}` of a run.
  wm.queue = async (run, changes) => {
    const { queued } = await wm.post("edit", { run, changes });
    wm.say(queued.length ? "Queued for delivery." : "Nothing to change.");
    wm.lookNow();
  };

  // What is typed for a config value: JSON where it is JSON, else the text itself.
  wm.typed = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  };
  const typeName = (value) => (value === null ? "null" : Array.isArray(value) ? "a list" : { object: "a dictionary", number: "a number", boolean: "true or false" }[typeof value] || "text");

  // A field for a value, which says as what it will be taken.
  wm.valueField = (label, value) => {
    const text = value === undefined ? "" : typeof value === "object" && value !== null ? JSON.stringify(value, null, 1) : wm.asText(value);
    const says = el("span", { class: "typed", role: "status" });
    const look = () => { says.textContent = `taken as ${typeName(wm.typed(field.value))}`; };
    const field = el("textarea", { "aria-label": label, class: "code", rows: Math.min(12, text.split("\n").length), spellcheck: "false", value: text, oninput: look });
    look();
    return { field, says, read: () => wm.typed(field.value) };
  };

  // Tags as chips which can be taken away, and a field which adds one.
  wm.tagField = (tags) => {
    const kept = [...tags];
    const chips = el("ul", { class: "tags" });
    const draw = () => wm.fill(chips, kept.map((tag) => el("li", { class: "tag" }, wm.name(tag),
      el("button", { type: "button", class: "plain", "aria-label": `Remove ${tag}`, onclick: () => { kept.splice(kept.indexOf(tag), 1); draw(); field.focus(); } }, "×"))));
    const add = () => {
      const tag = field.value.trim();
      if (tag && !kept.includes(tag)) kept.push(tag);
      field.value = "";
      draw();
    };
    const field = el("input", { "aria-label": "Add a tag", placeholder: "Add a tag, Enter", autocomplete: "off",
      onkeydown: (event) => {
        if (event.key !== "Enter" || event.ctrlKey || event.metaKey || !field.value.trim()) return;
        event.preventDefault();
        add();
      } });
    draw();
    return { element: el("div", { class: "tag-field" }, chips, field), read: () => { add(); return kept; } };
  };
})();
