// Two views of many runs at once: parallel coordinates with what matters most, and a scatter plot.
"use strict";

(() => {
  const MOST = 2000; // runs drawn at once
  const TIMES = new Set(["created_at", "heartbeat_at", "updated_at"]);
  const LIKELY = /loss|acc|score|reward|error|f1|auc|bleu|perplexity/i;

  const isMeasure = ({ kind, type, name }) => kind === "summary" && type === "number" && !name.startsWith("summary._");
  const measures = (columns) => columns.filter(isMeasure);
  const likely = (columns) => (measures(columns).find(({ name }) => LIKELY.test(name)) || measures(columns)[0])?.name || "";
  const short = (name) => name.replace(/^(summary|config)\./, "");

  const tall = () => Math.max(340, Math.min(760, innerHeight - 260, innerWidth));

  // A column's cells as numbers on an axis.
  const onAxis = (info, cells, log) => {
    const name = info?.name || "", label = short(name);
    if (TIMES.has(name)) return {
      kind: "time", label,
      values: cells.map((cell) => (cell ? Date.parse(/[zZ]|[+-]\d\d:?\d\d$/.test(cell) ? cell : cell + "Z") / 1000 : null))
    };
    if (info?.type === "number" || (!info?.type && cells.every((cell) => cell === null || typeof cell === "number"))) {
      const values = cells.map((cell) => (typeof cell === "number" ? cell : null)),
        known = values.filter((value) => value !== null);
      const wide = known.length > 1 && known.every((value) => value > 0) && Math.max(...known) / Math.min(...known) >= 1000;
      return { kind: (log ?? wide) ? "log" : name === "duration" ? "duration" : "number", label, values };
    }
    const texts = cells.map((cell) => (cell === null ? null : typeof cell === "object" ? JSON.stringify(cell) : String(cell)));
    const names = [...new Set(texts)].filter((text) => text !== null).sort(wm.natural),
      places = new Map(names.map((text, place) => [text, place]));
    return {
      kind: "category", label, names, raw: new Map(cells.map((cell, place) => [places.get(texts[place]), cell])),
      values: texts.map((text) => (text === null ? null : places.get(text)))
    };
  };

  // Colours of a column's values, and the element that explains them.
  const inColours = (axis) => {
    const known = axis.values.filter((value) => value !== null), soft = "#8f8f88";
    if (axis.kind === "category") {
      const colours = wm.colours(axis.names);
      const keys = axis.names.slice(0, 12).map((name) => wm.el("span", { class: "key" },
        wm.el("span", { class: "swatch", style: { "--own": colours.get(name) } }),
        wm.el("bdi", { class: "cut", title: name }, name)));
      return {
        of: (value) => (value === null ? soft : colours.get(axis.names[value])),
        legend: wm.el("span", { class: "row" },
          keys, axis.names.length > 12 ? wm.el("span", { class: "soft" }, `and ${axis.names.length - 12} more`) : null)
      };
    }
    const log = axis.kind === "log", place = log ? (value) => Math.log(Math.max(value, Number.MIN_VALUE)) : (value) => value;
    const usable = known.filter((value) => !log || value > 0);
    const [low, high] = usable.length ? [Math.min(...usable), Math.max(...usable)] : [0, 1];
    const text = wm.plot.scale(axis.kind, [low, high], [0, 1]).text;
    return {
      of: (value) => (value === null ? soft : wm.plot.ramp((place(value) - place(low)) / (place(high) - place(low) || 1))),
      legend: wm.el("span", { class: "inline" },
        text(low), wm.el("span", { class: "ramp", style: { background: wm.plot.rampCss } }), text(high)),
    };
  };

  const chooser = (label, columns, chosen, onpick, none) => {
    const button = wm.el("button", {
      type: "button", "aria-haspopup": "dialog", "aria-expanded": "false", "aria-label": `${label}: ${chosen || "none"}`,
      onclick: () => wm.menu(button,
        label,
        (menu) => wm.pick(menu,
          { items: columns.map((each) => ({ ...each, label: short(each.name) })), chosen: new Set([chosen]), none, onpick }))
    },
      wm.el("bdi", { class: "cut", title: chosen, style: { maxWidth: "200px" } }, short(chosen) || none || "choose"));
    return wm.el("span", { class: "inline" }, label, button);
  };

  // What both views share: `context` has project, listing() → parameters, columns(), href(id), filter(filter).
  const view = (host, context, build) => {
    const bar = wm.el("div", { class: "view-bar" }), note = wm.el("p", { class: "soft", role: "status" }),
      place = wm.el("div", {});
    host.append(bar, note, place);
    let control = null;
    const rows = async (names) => {
      control?.abort();
      control = new AbortController();
      const { signal } = control, columns = [...new Set(names.filter(Boolean))];
      const answer = await wm.get("runs", { ...context.listing(), columns, limit: MOST }, { signal });
      const info = new Map(context.columns().map((each) => [each.name, each]));
      const cells = (name) => answer.rows.map((row) => row.cells[columns.indexOf(name)] ?? null);
      return { answer, axis: (name, log) => onAxis(info.get(name) || { name }, cells(name), log) };
    };
    const drawn = ({ total, rows: got }) => {
      const all = wm.plural(total, "run");
      return got.length < total ? `${wm.number(got.length)} of ${all}, the first in this order` : all;
    };
    const guarded = (show) => () => show().catch((error) => error.name !== "AbortError" && wm.fill(note, wm.trouble(error)));
    return build({ bar, note, place, rows, drawn, guarded });
  };

  // Returns a function that draws anew.
  wm.scatterView = (host, context) => view(host, context, ({ bar, note, place, rows, drawn, guarded }) => {
    let chart = null;
    const show = async () => {
      const columns = context.columns(), found = measures(columns);
      const setting = columns.find(({ kind, type, same }) => kind === "config" && type === "number" && !same);
      const x = wm.view.get("sx") || setting?.name || "created_at";
      const y = wm.view.get("sy") || likely(columns) || found[0]?.name || "duration", by = wm.view.get("sc");
      const log = { x: wm.view.get("slx") === "1", y: wm.view.get("sly") === "1" };
      const set = (name) => (value) => {
        wm.view.set({ [name]: value });
        again();
      };
      const toggle = (label, name, on) => wm.el("button",
        { type: "button", "aria-pressed": String(on), onclick: () => set(name)(on ? null : 1) }, label);
      const { answer, axis } = await rows([x, y, by]);
      const [horizontal, vertical] = [axis(x, log.x), axis(y, log.y)], colours = by ? inColours(axis(by)) : null,
        shade = by ? axis(by).values : null;
      wm.fill(bar,
        chooser("x", columns, x, set("sx")), toggle("log x", "slx", log.x), chooser("y", columns, y, set("sy")),
        toggle("log y", "sly", log.y), chooser("Colour", columns, by, set("sc"), "by run"), colours?.legend);
      const points = answer.rows.map((row, at) => ({
        x: horizontal.values[at], y: vertical.values[at], name: row.name || row.id, href: context.href(row.id),
        colour: colours ? colours.of(shade[at]) : wm.colour(row.id),
        lines: by ? [`${short(by)}: ${row.cells[[...new Set([x, y, by])].indexOf(by)] ?? "–"}`] : []
      }));
      const usable = (value, isLog) => Number.isFinite(value) && (!isLog || value > 0);
      const both = points.filter((point) => usable(point.x, log.x) && usable(point.y, log.y)).length;
      wm.fill(note, drawn(answer), both < points.length ? `; ${wm.number(both)} have both values` : "");
      const given = { label: `${short(y)} over ${short(x)}: ${wm.plural(both, "run")}`, points, x: horizontal, y: vertical };
      if (chart) chart.update(given);
      else chart = wm.scatter(place, { ...given, height: tall() });
    };
    const again = guarded(show);
    return again;
  });

  wm.parallelView = (host, context) => view(host, context, ({ bar, note, place, rows, drawn, guarded }) => {
    const spot = wm.el("div", {}), side = wm.el("section", { "aria-label": "What matters most" });
    place.append(wm.el("div", { class: wm.isStatic ? null : "beside" }, spot, wm.isStatic ? null : side));
    let chart = null, control = null, brushes = new Map(), marked = "", chosen = [];
    const set = (name) => (value) => {
      wm.view.set({ [name]: value });
      again();
    };
    const setAxes = set("axes"), count = wm.el("span", { class: "soft" });
    const pick = wm.menuButton(["Axes ", count], "Axes", (menu) => {
      const before = chosen;
      wm.pick(menu,
        {
          many: true,
          items: context.columns().map((each) => ({
            ...each, label: short(each.name), note: each.same ? "all agree" : null
          })),
          chosen: new Set(before),
          onpick: wm.later(250,
            (names) => setAxes([
              ...before.filter((name) => names.has(name)), ...[...names].filter((name) => !before.includes(name))
            ]))
        });
    });
    const show = async () => {
      const columns = context.columns();
      const target = wm.view.get("target") || likely(columns);
      control?.abort();
      control = new AbortController();
      const { filters, search } = context.listing();
      const matters = target && !wm.isStatic ? await wm.get("importance",
        { project: context.project, filters, search, target }, { signal: control.signal }).catch((error) => {
        if (error.name === "AbortError") throw error;
        return { columns: [], error };
      }) : { columns: [] };
      const spread = columns.filter(({ kind, same }) => kind === "config" && !same).map(({ name }) => name);
      const asked = wm.view.json("axes", null);
      chosen = Array.isArray(asked) ? asked.map(String) : [...new Set([
        ...matters.columns.map(({ column }) => column), ...spread
      ])].slice(0, 4).concat(target || []);
      wm.fill(bar, chooser("Colour", measures(columns), target, set("target")), pick);
      count.textContent = chosen.length;
      const { answer, axis } = await rows([...chosen, target]);
      const axes = chosen.map((name) => ({ ...axis(name), name: short(name), column: name })),
        colours = target ? inColours(axis(target)) : null, shade = target ? axis(target).values : null;
      wm.fill(bar, chooser("Colour", measures(columns), target, set("target")), colours?.legend, pick);
      if (marked !== chosen.join()) [brushes, marked] = [new Map(), chosen.join()]; // marks stay while the axes do
      const onbrush = (_, inside) => {
        const conditions = () => axes.filter(({ name }) => brushes.has(name)).map(({ name, column, kind, raw }) => {
          const [low, high] = brushes.get(name), field = wm.filterField(column);
          if (kind === "category") return { [field]: { $in: [...raw].filter(([at]) => at >= low && at <= high).map(([, cell]) => cell) } };
          const text = (value) => (kind === "time" ? new Date(value * 1000).toISOString() : Number(value.toPrecision(6)));
          return { [field]: { $gte: text(low), $lte: text(high) } };
        });
        if (!brushes.size) return wm.fill(note, drawn(answer), "; drag along an axis to mark a stretch");
        const link = (text, then) => wm.el("button", { type: "button", class: "link", onclick: () => {
          const found = wm.allOf(...conditions());
          brushes.clear();
          then(found);
        } }, text);
        const inner = wm.number(inside.length);
        wm.fill(note, drawn(answer), `; ${inner} within the marked stretches `, link("Filter by these", context.filter), " ", link("Clear", again));
      };
      const given = {
        label: `Parallel coordinates of ${wm.plural(answer.rows.length, "run")}`, axes, brushes, onbrush,
        rows: answer.rows.map((row, at) => ({
          name: row.name || row.id, href: context.href(row.id), colour: colours ? colours.of(shade[at]) : wm.colour(row.id),
          values: axes.map(({ values }) => values[at])
        }))
      };
      if (chart) chart.update(given);
      else chart = wm.parallel(spot, { ...given, height: tall() });
      showMatters(matters, target);
    };
    const showMatters = (matters, target) => wm.fill(side,
      wm.el("h2", {}, "What matters for ", wm.el("bdi", {}, short(target) || "…")),
      matters.error ? wm.trouble(matters.error) : wm.el("p", { class: "soft" }, matters.columns.length
        ? `Share of the variance that each column explains by itself, over ${wm.plural(matters.runs, "run")}. A press shows or hides its axis.`
        : "Nothing explains it: too few runs, or all have the same settings."),
      wm.el("ul", { class: "bars" }, matters.columns.slice(0, 20).map(ofColumn)));
    const ofColumn = ({ column, importance, correlation }) => {
      const isShown = chosen.includes(column), toggle = () => setAxes(isShown ? chosen.filter((name) => name !== column) : [column, ...chosen]);
      return wm.el("li", {}, wm.el("button", { type: "button", "aria-pressed": String(isShown), onclick: toggle },
        wm.el("bdi", { class: "cut", title: column }, short(column)),
        wm.el("span", { class: "soft" },
          `${(importance * 100).toFixed(0)} %`, correlation === null ? "" : correlation < 0 ? " ↘" : " ↗"),
        wm.el("span", { class: "share", style: { "--part": Math.min(100, importance * 100) + "%" } })));
    };
    const again = guarded(show);
    return again;
  });
})();
