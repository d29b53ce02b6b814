// Runs side by side: what differs in facts, config, summary and metadata, and their curves below.
"use strict";

(() => {
  const { entity, project } = wm.settings;
  const main = document.getElementById("main");
  const MOST = 12; // runs side by side
  const asked = wm.view.json("runs", []);
  const ids = (Array.isArray(asked) ? asked : []).map(String).slice(0, MOST);
  const colours = wm.colours(ids);
  const state = { all: wm.view.get("all") === "1", find: wm.view.get("find") };
  let runs = [];

  // Nested values as one row each: a.b.c.
  const flat = (value, name = "", found = new Map()) => {
    const isNested = value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length;
    if (isNested) for (const [key, inner] of Object.entries(value)) flat(inner, name ? `${name}.${key}` : key, found);
    else found.set(name, value);
    return found;
  };
  const SECTIONS = [
    [
      "Facts",
      (run) => new Map([
        ["State", run.state], ["Group", run.group], ["Job type", run.job_type], ["Sweep", run.sweep],
        ["Tags", run.tags?.length ? run.tags.join(", ") : null], ["Notes", run.notes || null], ...(run.facts || [])
      ])
    ],
    ["Config", (run) => flat(run.config || {})],
    ["Summary", (run) => flat(run.summary || {})],
    ["Metadata", (run) => flat(run.metadata || {})],
  ];

  const text = (value) => {
    if (value === undefined || value === null) return "–";
    return typeof value === "number" ? wm.number(value) : typeof value === "object" ? JSON.stringify(value) : String(value);
  };
  // By how much a number differs from the first run's.
  const change = (value, first) => {
    if (typeof value !== "number" || typeof first !== "number" || value === first || first === 0) return null;
    const part = (value - first) / Math.abs(first);
    return Math.abs(part) < 10 ? `${part > 0 ? "+" : "−"}${wm.number(Number((Math.abs(part) * 100).toPrecision(3)))} %` : null;
  };

  const table = wm.el("div", { class: "compare-wide", tabindex: 0, role: "region", "aria-label": "Values side by side" }),
    said = wm.el("span", { class: "soft", role: "status" });
  const show = () => {
    const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
    let differing = 0, all = 0;
    const bodies = SECTIONS.map(([title, valuesOf]) => {
      const values = runs.map(valuesOf), names = [...new Set(values.flatMap((map) => [...map.keys()]))];
      // What W&B added comes last.
      if (title !== "Facts") names.sort((one, other) => one.startsWith("_") - other.startsWith("_") || wm.natural(one, other));
      const rows = names.flatMap((name) => {
        const cells = values.map((map) => map.get(name)), texts = cells.map((cell) => JSON.stringify(cell ?? null)),
          differs = new Set(texts).size > 1;
        all++;
        differing += differs;
        if ((!differs && !state.all) || !words.every((word) => name.toLowerCase().includes(word))) return [];
        return wm.el("tr", {}, wm.el("th", { scope: "row" },
          wm.el("span",
            differs ? { class: "differ", role: "img", "aria-label": "differs", title: "differs" } : { class: "differ" },
            differs ? "≠" : ""),
          wm.el("bdi", {}, name)),
          cells.map((cell, place) => {
            const part = place && title === "Summary" ? change(cell, cells[0]) : null;
            return wm.el("td", { class: differs && texts[place] !== texts[0] ? "differs" : null },
              wm.el("bdi", { class: "value", title: text(cell).slice(0, 4000) }, text(cell).slice(0, 2000)),
              part ? wm.el("small", { class: "soft" }, part) : null);
          }));
      });
      return rows.length ? wm.el("tbody", {},
        wm.el("tr", { class: "section-row" },
          wm.el("th", { colspan: runs.length + 1, scope: "rowgroup" },
            `${title} `, wm.el("span", { class: "soft" }, String(rows.length)))),
        rows) : null;
    });
    said.textContent = `${wm.number(differing)} of ${wm.plural(all, "value")} differ`;
    const names = runs.map((run, place) => wm.el("th", { scope: "col" },
      wm.el("span", { class: "key" },
        wm.el("span", { class: "swatch", style: { "--own": colours.get(ids[place]) } }),
        wm.el("a", { class: "cut", href: wm.address.run(entity, project, ids[place]), title: run.name || ids[place] },
          wm.el("bdi", {}, run.name || ids[place])))
    ));
    wm.fill(table, bodies.some(Boolean)
      ? wm.el("table", { class: "compare", style: { minWidth: 240 + runs.length * 150 + "px" } },
        wm.el("colgroup", {}, wm.el("col", { class: "name" }), runs.map(() => wm.el("col", {}))),
        wm.el("thead", {},
          wm.el("tr", {}, wm.el("th", { scope: "col" }, wm.el("span", { class: "differ" }), "Value"), names)),
        bodies)
      : wm.el("p", { class: "empty" }, words.length ? "No value has this in its name." : "These runs agree in everything."));
  };

  const curvesPlace = wm.el("section", { "aria-label": "Curves" });
  const findLabel = { placeholder: "Find a value…", "aria-label": "Find a value by name" };
  const find = wm.el("input", { type: "search", ...findLabel, value: state.find, oninput: (event) => {
    state.find = event.target.value;
    wm.view.set({ find: state.find });
    show();
  } });
  const only = wm.el("label", { class: "check" }, wm.el("input", { type: "checkbox", checked: !state.all, onchange: (event) => {
    state.all = !event.target.checked;
    wm.view.set({ all: state.all ? 1 : null });
    show();
  } }), "Only what differs");
  const title = wm.el("div", { class: "title" },
    wm.el("h1", {}, `Comparison of ${wm.plural(ids.length, "run")}`), said, wm.el("span", { class: "grow" }), only, find);
  if (asked.length > MOST) title.append(wm.el("span", { class: "warn" }, `the first ${MOST} of ${asked.length}`));

  const load = async () => {
    runs = await Promise.all(ids.map((id) => wm.get("run",
      { run: [entity, project, id].map(encodeURIComponent).join("/") })));
    show();
  };
  if (ids.length < 2) {
    wm.fill(main,
      wm.el("div", { class: "title" }, wm.el("h1", {}, "Comparison")),
      wm.el("p", { class: "empty" },
        "Check two or more runs in the table of ", wm.el("a", { href: wm.address.project(entity, project) }, "the project"),
        " and compare them."));
    return;
  }
  wm.fill(main, title, table, curvesPlace);
  load().then(() => {
    const curves = wm.curves(curvesPlace,
      {
        project: `${entity}/${project}`,
        runs: ids.map((id, place) => ({
          id, name: runs[place].name || id, colour: colours.get(id), href: wm.address.run(entity, project, id)
        }))
      });
    wm.watch(() => {
      load().catch(wm.sayError);
      curves.refresh();
    });
  }, (error) => wm.fill(table, wm.trouble(error)));
})();
