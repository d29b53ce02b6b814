// Completion in a text area: what begins with the word at the caret, in a list below it. Tab leaves as everywhere.
"use strict";

(() => {
  const { el, fill } = wm;
  const SHOWN = 12;

  // `words()` gives [{text, insert, note}]; the area has a fixed-width font and wraps no lines.
  wm.complete = (area, words) => {
    const list = el("ul", { class: "completions", role: "listbox", id: "completions", "aria-label": "Completions", hidden: true });
    area.after(list);
    area.setAttribute("aria-autocomplete", "list");
    area.setAttribute("aria-controls", "completions");
    let found = [], at = -1, from = 0;

    const close = () => {
      list.hidden = true;
      area.removeAttribute("aria-activedescendant");
    };
    const insert = (word) => {
      area.setRangeText(word.insert, from, area.selectionEnd, "end");
      close();
      area.focus();
      area.dispatchEvent(new Event("input"));
      close();
    };
    const choose = (place) => {
      at = (place + found.length) % found.length;
      [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === at)));
      area.setAttribute("aria-activedescendant", `completion-${at}`);
      list.children[at].scrollIntoView({ block: "nearest" });
    };
    const place = () => {
      const before = area.value.slice(0, from).split("\n"), style = getComputedStyle(area);
      const context = el("canvas").getContext("2d");
      context.font = style.font;
      const left = parseFloat(style.paddingLeft) + context.measureText(before.at(-1)).width - area.scrollLeft;
      list.style.left = `${Math.max(0, Math.min(left, area.clientWidth - 240))}px`;
      list.style.top = `${parseFloat(style.paddingTop) + before.length * parseFloat(style.lineHeight) - area.scrollTop + 4}px`;
    };
    const open = (asked) => {
      const [word] = area.value.slice(0, area.selectionStart).match(/[\p{L}_][\p{L}\p{N}_]*$/u) || [""];
      from = area.selectionStart - word.length;
      const low = word.toLowerCase();
      found = word || asked ? words().filter(({ text }) => text.toLowerCase().startsWith(low) && text !== word).slice(0, SHOWN) : [];
      if (!found.length || area.selectionStart !== area.selectionEnd) return close();
      at = -1;
      area.removeAttribute("aria-activedescendant");
      fill(list, found.map((one, number) => el("li", { role: "option", id: `completion-${number}`, "aria-selected": "false", onpointerdown: (event) => { event.preventDefault(); insert(one); } },
        wm.name(one.text), el("span", { class: "note" }, one.note))));
      list.hidden = false;
      place();
    };

    area.addEventListener("input", () => open(false));
    area.addEventListener("blur", close);
    area.addEventListener("scroll", () => list.hidden || place());
    area.addEventListener("keydown", (event) => {
      if (event.key === " " && event.ctrlKey) open(true);
      else if (list.hidden) return;
      else if (event.key === "ArrowDown") choose(at + 1);
      else if (event.key === "ArrowUp") choose(at < 0 ? -1 : at - 1);
      else if (event.key === "Enter" && at >= 0 && !event.ctrlKey && !event.metaKey) insert(found[at]);
      else if (event.key === "Escape") close();
      else if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) return close();
      else return;
      event.preventDefault();
    });
  };
})();
