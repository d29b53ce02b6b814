// The first page: the projects of this home.
"use strict";

(() => {
  const main = document.getElementById("main");
  const filter = wm.el("input",
    { type: "search", placeholder: "Find a project…", "aria-label": "Find a project by name", value: wm.view.get("find") });
  const count = wm.el("span", { class: "soft", role: "status" });
  const body = wm.el("div", {});
  let projects = null;

  const row = (each) => wm.el("tr", {},
    wm.el("th", { scope: "row" },
      wm.el("a", { href: wm.address.project(each.entity, each.project) },
        wm.el("span", { class: "soft" }, wm.el("bdi", {}, each.entity), " / "), wm.el("bdi", {}, each.project))),
    wm.el("td", { class: "number" }, wm.number(each.runs)),
    wm.el("td", { class: "number" },
      each.active ? wm.el("span", { class: "state running" },
        wm.number(each.active)) : wm.el("span", { class: "soft" }, "0")),
    wm.el("td", { title: wm.time(each.last_active) },
      each.last_active ? wm.ago(each.last_active) : wm.el("span", { class: "soft" }, "–")),
    wm.el("td", { title: wm.time(each.last_pass_at) }, wm.ago(each.last_pass_at)),
    wm.el("td", {},
      each.pending ? wm.el("a", { class: "warn", href: wm.address.mirror() + "#outbox" },
        `${wm.plural(each.pending, "change")} queued`) : null
    ));

  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = projects.filter(({ entity, project }) => words.every((word) => `${entity}/${project}`.toLowerCase().includes(word)));
    count.textContent = (words.length ? `${found.length} of ` : "") + wm.plural(projects.length, "project");
    if (!projects.length) {
      return wm.fill(body,
        wm.el("div", { class: "empty" },
          wm.el("h2", {}, "Nothing is mirrored yet"),
          wm.el("p", {}, "Take a project from the server, and it is here, online or not:"),
          wm.el("code", {}, "wandb-mirror pull ENTITY/PROJECT")));
    }
    if (!found.length) return wm.fill(body, wm.el("p", { class: "empty" }, "No project has this in its name."));
    const names = [
      "Project", "Runs", "Running", "Last activity", "Last pull"
    ].map((text, place) => wm.el("th", { scope: "col", class: place === 1 || place === 2 ? "number" : null }, text));
    wm.fill(body,
      wm.el("div", { class: "wide" },
        wm.el("table", { class: "list" },
          wm.el("thead", {}, wm.el("tr", {}, names, wm.el("td", {}))), wm.el("tbody", {}, found.map(row)))
      ));
  };

  const load = async () => {
    try {
      ({ projects } = await wm.get("projects"));
      show();
    } catch (error) {
      wm.fill(body, wm.trouble(error));
    }
  };
  filter.addEventListener("input", () => {
    wm.view.set({ find: filter.value });
    if (projects) show();
  });
  wm.fill(main,
    wm.el("div", { class: "projects" },
      wm.el("div", { class: "title" }, wm.el("h1", {}, "Projects"), count, wm.el("span", { class: "grow" }), filter), body));
  load();
  wm.watch(load);
})();
