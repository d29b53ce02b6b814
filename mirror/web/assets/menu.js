// What opens under its button: menus, and lists to pick names from.
"use strict";

(() => {
  let open = null;

  const place = (menu, button) => {
    const at = button.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = menu;
    const left = Math.max(8, Math.min(at.left, document.documentElement.clientWidth - width - 8));
    const below = at.bottom + 4;
    menu.style.left = left + "px";
    menu.style.top = Math.max(8,
      below + height > innerHeight - 8 ? Math.min(below, innerHeight - height - 8) : below) + "px";
  };

  const close = (focusBack) => {
    if (!open) return;
    const { menu, button } = open;
    open = null;
    menu.remove();
    button.setAttribute("aria-expanded", "false");
    if (focusBack) button.focus();
  };
  wm.closeMenu = close;

  document.addEventListener("pointerdown", (event) => {
    if (open && !open.menu.contains(event.target) && !open.button.contains(event.target)) close(false);
  });
  addEventListener("resize", () => close(false));

  // Opens a menu under a button, or closes it: `build(menu)` fills it. Escape and a press elsewhere close it.
  wm.menu = (button, label, build) => {
    if (open?.button === button) return close(true);
    close(false);
    const menu = wm.el("div", { class: "menu", role: "dialog", "aria-label": label });
    menu.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        close(true);
      }
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        const stops = [...menu.querySelectorAll("input[type=search], .option, .option input")].filter((each) => each.matches("input, button"));
        const next = stops.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
        if (stops.includes(document.activeElement) && stops[next]) {
          stops[next].focus();
          event.preventDefault();
        }
      }
    });
    menu.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !menu.contains(event.relatedTarget) && event.relatedTarget !== button) close(false);
    });
    open = { menu, button };
    button.setAttribute("aria-expanded", "true");
    (button.closest("dialog") || document.body).append(menu);
    build(menu);
    place(menu, button);
    menu.querySelector("input, button, select, textarea")?.focus({ preventScroll: true });
    return menu;
  };
  // A button with a menu.
  wm.menuButton = (content, label, build, attributes = {}) => {
    const button = wm.el("button", { type: "button", "aria-haspopup": "dialog", "aria-expanded": "false", ...attributes },
      content);
    button.addEventListener("click", () => wm.menu(button, label, build));
    return button;
  };

  const KINDS = { fact: "Facts", summary: "Summary", config: "Config" };
  const SHOWN = 300; // as many options stand in the document at once; the search finds the others

  // Fills a menu with a list to pick from.
  //   items: [{name, kind, note}]; chosen: a Set; many: boxes to check rather than one to take; none: a label for nothing
  wm.pick = (menu, { items, chosen, many, none, onpick, foot }) => {
    const search = wm.el("input",
      { type: "search", placeholder: "Find…", "aria-label": "Find in this list", oninput: () => show() });
    const list = wm.el("div", { class: "options", role: "group", "aria-label": "Names" });
    const option = (item) => {
      const name = wm.el("bdi", { class: "cut", title: item.name }, item.label ?? item.name);
      const note = item.note ? wm.el("span", { class: "note" }, item.note) : null;
      if (many) {
        return wm.el("label", { class: "option" }, wm.el("input", { type: "checkbox", checked: chosen.has(item.name), onchange: (event) => {
          if (event.target.checked) chosen.add(item.name);
          else chosen.delete(item.name);
          onpick(chosen);
        } }), name, note);
      }
      return wm.el("button", { type: "button", class: "option", "aria-pressed": String(chosen.has(item.name)), onclick: () => {
        close(true);
        onpick(item.name);
      } }, name, note);
    };
    const show = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = items.filter((item) => words.every((word) => `${item.name} ${item.label || ""}`.toLowerCase().includes(word)));
      const shown = found.slice(0, SHOWN), groups = new Map();
      for (const item of shown) groups.set(item.kind, [...(groups.get(item.kind) || []), item]);
      wm.fill(list,
        none && !words.length ? option({ name: "", label: none }) : null,
        [...groups].map(([kind, members]) => [KINDS[kind] ? wm.el("h3", {}, KINDS[kind]) : null, members.map(option)]),
        found.length > SHOWN ? wm.el("p", { class: "soft" },
          `and ${wm.number(found.length - SHOWN)} more: type to find them`) : null,
        found.length ? null : wm.el("p", { class: "soft" }, "none has this in its name"));
    };
    show();
    menu.append(search, list);
    if (foot) menu.append(wm.el("div", { class: "row" }, foot(() => show())));
  };
})();
