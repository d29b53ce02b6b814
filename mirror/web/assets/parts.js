// Pieces that the pages of one thing share: sections, small tables, tabs, marks, copying, trees of values.
"use strict";

(() => {
  const { el, fill } = wm;

  wm.name = (text, attributes = {}) => el("bdi", { title: text, ...attributes }, text);
  wm.link = (address, text, attributes = {}) => (address ? el("a", { href: address, ...attributes }, el("bdi", {}, text)) : el("bdi", attributes, text));
  wm.state = (state) => el("span", { class: `state ${state || ""}` }, state || "unknown");
  wm.tags = (names) => el("ul", { class: "tags" }, names.map((name) => el("li", { class: "tag" }, wm.name(name))));
  wm.section = (title, ...children) => el("section", { class: "part" }, el("h2", {}, title), children);
  wm.nothing = (text) => el("p", { class: "soft" }, text);

  // A filter box; `changed` is called with its text a moment after it was typed.
  wm.filterBox = (label, changed, value = "") =>
    el("input", { type: "search", class: "filter", placeholder: label, "aria-label": label, spellcheck: "false", autocomplete: "off", value,
      oninput: wm.later(120, (event) => changed(event.target.value)) });

  // Whether a text has all the words, whatever their case.
  wm.matcher = (search) => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    return (text) => {
      const low = text.toLowerCase();
      return words.every((word) => low.includes(word));
    };
  };

  // A table for some dozens of rows: `heads` are texts, or {label, align}; cells are texts or elements. Scrolls by itself.
  wm.listing = (label, heads, rows) => {
    const columns = heads.map((head) => (typeof head === "string" ? { label: head } : head));
    const aligned = (place) => (columns[place].align ? { class: columns[place].align } : {});
    return el("div", { class: "wide", role: "region", tabindex: "0", "aria-label": label },
      el("table", { class: "list" },
        el("thead", {}, el("tr", {}, columns.map((head, place) => el("th", { scope: "col", ...aligned(place) }, head.label)))),
        el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, place) => el("td", aligned(place), cell ?? "")))))));
  };

  // Elements for items, some hundreds at a time: the rest by a button that says how many.
  wm.some = (host, items, draw, atOnce = 300) => {
    let drawn = 0;
    const button = el("button", { type: "button", class: "link more", onclick: () => add() });
    const more = { TBODY: () => el("tr", {}, el("td", { colspan: 20 }, button)), UL: () => el("li", {}, button) }[host.tagName]?.() || button;
    const add = () => {
      const from = drawn;
      drawn = Math.min(items.length, drawn + atOnce);
      more.before(...items.slice(from, drawn).map(draw));
      if (drawn === items.length) more.remove();
      else button.textContent = `${wm.number(drawn)} of ${wm.number(items.length)} shown: show ${wm.number(Math.min(atOnce, items.length - drawn))} more`;
    };
    fill(host, more);
    add();
    return host;
  };

  // Tabs kept in the address. A tab is drawn when it is opened the first time: `show(panel)`.
  wm.tabs = (host, tabs) => {
    const buttons = new Map(), panels = new Map();
    const open = (name, focus) => {
      const tab = tabs.find((one) => one.name === name) || tabs[0];
      for (const one of tabs) {
        const is = one === tab, button = buttons.get(one.name);
        button.setAttribute("aria-selected", String(is));
        button.tabIndex = is ? 0 : -1;
        panels.get(one.name).hidden = !is;
      }
      if (focus) buttons.get(tab.name).focus();
      buttons.get(tab.name).scrollIntoView({ block: "nearest", inline: "nearest" });
      if (!panels.get(tab.name).hasChildNodes()) tab.show(panels.get(tab.name));
      return tab.name;
    };
    const choose = (name, focus) => wm.view.set({ tab: open(name, focus) });
    const step = (event) => {
      const at = tabs.findIndex((one) => buttons.get(one.name) === event.target);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (at < 0 || to === undefined) return;
      event.preventDefault();
      choose(tabs[(to + tabs.length) % tabs.length].name, true);
    };
    for (const { name, label } of tabs) {
      buttons.set(name, el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, onclick: () => choose(name) }, label,
        el("span", { class: "count" })));
      panels.set(name, el("div", { role: "tabpanel", id: `panel-${name}`, class: "tab-panel", "aria-labelledby": `tab-${name}`, hidden: true }));
    }
    host.append(el("div", { class: "tabs", role: "tablist", onkeydown: step }, [...buttons.values()]), ...panels.values());
    addEventListener("popstate", () => open(wm.view.get("tab", wm.settings.tab || "")));
    return {
      open: () => open(wm.view.get("tab", wm.settings.tab || "")),
      panel: (name) => panels.get(name),
      count: (name, count) => { buttons.get(name).querySelector(".count").textContent = count ? wm.number(count) : ""; },
    };
  };

  wm.copy = async (text, what = "the value") => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // not at hand on pages from a file
      const area = el("textarea", { value: text, class: "aside-copy" });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    wm.say(`Copied ${what}.`);
  };

  // A value as one line: texts that could be taken for something else in quotes.
  wm.asText = (value) => {
    if (typeof value !== "string") return JSON.stringify(value) ?? "";
    try {
      JSON.parse(value);
      return JSON.stringify(value);
    } catch {
      return value === "" ? '""' : value;
    }
  };
  const isBranch = (value) => value !== null && typeof value === "object" && Object.keys(value).length > 0;
  const members = (value) => (Array.isArray(value) ? Object.keys(value) : Object.keys(value).sort(wm.natural));
  const size = (value) => (Array.isArray(value) ? `[${wm.number(value.length)}]` : `{${wm.number(Object.keys(value).length)}}`);
  const isFlatList = (value) => Array.isArray(value) && value.length <= 8 && value.every((one) => one === null || typeof one !== "object");

  // Leaves of a value as [path, value], in natural order.
  const leaves = function* (value, path = []) {
    if (!isBranch(value) || isFlatList(value)) yield [path, value];
    else for (const key of members(value)) yield* leaves(value[key], [...path, key]);
  };

  // A searchable tree of nested values. `edit(path, row)`, where given, puts an editor into the row; `mark(path)` gives a
  // mark or null; `kept` remembers what is unfolded and searched for when the tree is drawn anew.
  wm.tree = (value, { label, edit, mark, kept = {} } = {}) => {
    kept.open ||= new Set();
    const list = el("ul", { class: "tree" });
    const tools = (path, one, row) => el("span", { class: "tools" },
      el("button", { type: "button", class: "plain tool", "aria-label": `Copy ${path.join(".")}`, onclick: () => wm.copy(typeof one === "string" ? one : JSON.stringify(one), path.at(-1).slice(0, 60)) }, "copy"),
      edit ? el("button", { type: "button", class: "plain tool", "aria-label": `Edit ${path.join(".")}`, onclick: () => edit(path, row()) }, "edit") : null);
    const node = (path, one, shown) => {
      const row = el("li");
      const key = el("span", { class: "key" }, wm.name(shown), mark?.(path));
      if (!isBranch(one) || isFlatList(one)) {
        const text = wm.asText(one);
        row.append(el("div", { class: "leaf" }, key, el("span", { class: one === null ? "value none" : "value", title: text }, el("bdi", {}, text))), tools(path, one, () => row));
        return row;
      }
      const inner = el("ul"), at = JSON.stringify(path);
      const fold = el("details", { open: kept.open.has(at), ontoggle: () => {
        kept.open[fold.open ? "add" : "delete"](at);
        if (fold.open && !inner.hasChildNodes()) wm.some(inner, members(one), (name) => node([...path, name], one[name], name));
      } }, el("summary", {}, key, el("span", { class: "size" }, size(one))), inner);
      row.append(fold, tools(path, one, () => row));
      row.classList.add("branch");
      return row;
    };
    const draw = (search) => {
      const wanted = wm.matcher(search);
      kept.search = search;
      if (!search.trim()) return wm.some(list, members(value), (name) => node([name], value[name], name));
      const found = [...leaves(value)].filter(([path, one]) => wanted(`${path.join(".")} ${wm.asText(one)}`));
      wm.some(list, found, ([path, one]) => node(path, one, path.join(".")));
      if (!found.length) list.append(el("li", {}, wm.nothing("No key or value has these words.")));
      return list;
    };
    draw(kept.search || "");
    return Object.keys(value).length > 8 ? [wm.filterBox(`Filter ${label}`, draw, kept.search), list] : [list];
  };
})();
