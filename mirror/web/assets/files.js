// Files: a list with sizes, kinds and a filter, and beside it a look into one.
"use strict";

(() => {
  const { el, fill } = wm;
  const LARGEST = 1e6; // bytes of a text that is shown

  const text = async (file) => {
    if (file.size > LARGEST) return wm.nothing(`Too long to be shown here (${wm.bytes(file.size)}): download it.`);
    const response = await fetch(file.url);
    if (!response.ok) throw new wm.Refused(`the server answered ${response.status}`);
    const whole = await response.text();
    if (file.kind !== "text") {
      try {
        const value = JSON.parse(whole);
        if (value !== null && typeof value === "object") return wm.tree(value, { label: "the file" });
      } catch { /* not JSON after all: as it is */ }
    }
    return el("pre", { class: "code", tabindex: "0", role: "region", "aria-label": file.name }, whole);
  };

  // A look into a file.
  const preview = async (file) => {
    if (!file.held) return wm.nothing(`This file is not held: ${file.reason || "nobody asked for it"}.`);
    if (!file.url) return wm.nothing("This export has no copy of the file.");
    if (["image", "audio", "video", "html"].includes(file.kind)) return wm.mediaItem(file);
    if (["json", "table", "text"].includes(file.kind)) return text(file);
    return wm.nothing("No preview for this kind of file.");
  };

  // A list of files {name, size, kind, held, reason, url}; `run`, where given, is whose tables can be shown.
  wm.files = (host, files, { run } = {}) => {
    if (!files.length) return fill(host, wm.nothing("No files."));
    const rows = el("tbody"), side = el("section", { class: "preview", "aria-label": "Preview", hidden: true }), told = el("span", { class: "told", role: "status" });
    const kinds = [...new Set(files.map(({ kind }) => kind))].sort();
    const kind = el("select", { "aria-label": "Kind", onchange: () => draw() }, el("option", { value: "" }, "All kinds"), kinds.map((one) => el("option", { value: one }, one)));
    const whole = files.reduce((sum, { size }) => sum + (size || 0), 0);
    let search = "";
    const open = async (file) => {
      wm.view.set({ file: file.name });
      for (const button of rows.querySelectorAll("button[data-name]")) button.setAttribute("aria-pressed", String(button.dataset.name === file.name));
      const place = el("div", { class: "inside" }, el("p", { class: "told" }, "Reading …"));
      side.hidden = false;
      host.classList.add("previewed");
      fill(side, el("div", { class: "bar" }, el("h2", {}, wm.name(file.name)), el("span", { class: "told" }, wm.bytes(file.size)), el("span", { class: "push" }),
        file.held && file.url ? el("a", { href: file.url, download: "" }, "Download") : null,
        el("button", { type: "button", onclick: () => { side.hidden = true; host.classList.remove("previewed"); wm.view.set({ file: null }); } }, "Close")), place);
      try {
        if (file.held && file.kind === "table" && run) await wm.loggedTable(place, { run, file: file.name });
        else fill(place, await preview(file));
      } catch (error) {
        fill(place, wm.trouble(error));
      }
    };
    const row = (file) => el("tr", { class: file.held ? "" : "absent" },
      el("td", {}, el("button", { type: "button", class: "link", "aria-pressed": String(file.name === wm.view.get("file")), onclick: () => open(file), dataset: { name: file.name } }, wm.name(file.name))),
      el("td", {}, file.held ? file.kind : el("span", { class: "why", title: file.reason }, file.reason || "not held")),
      el("td", { class: "number" }, wm.bytes(file.size)));
    const draw = () => {
      const wanted = wm.matcher(search);
      const found = files.filter((file) => wanted(file.name) && (!kind.value || file.kind === kind.value));
      told.textContent = found.length === files.length ? `${wm.plural(files.length, "file")}, ${wm.bytes(whole)}` : `${wm.number(found.length)} of ${wm.plural(files.length, "file")}`;
      wm.some(rows, found, row);
    };
    fill(host, el("div", { class: "bar" }, wm.filterBox("Filter files", (typed) => { search = typed; draw(); }), kind, told),
      el("div", { class: "list-and-preview" }, el("table", { class: "list files" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Name"), el("th", { scope: "col" }, "Kind"), el("th", { scope: "col", class: "number" }, "Size"))), rows), side));
    draw();
    const asked = files.find(({ name }) => name === wm.view.get("file"));
    if (asked) open(asked);
  };
})();
