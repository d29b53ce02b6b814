// The SQL page: an editor with the views at hand, and the answer as a table, as lines, as bars, or as a file.
"use strict";

(() => {
  const { el, fill } = wm;
  const main = document.getElementById("main");
  const LIMIT = 10_000, MOST_LINES = 50, MOST_BARS = 100, KEPT = 50;
  const HISTORY = "wandb-mirror.queries";

  const EXAMPLES = [
    ["Runs by state", "SELECT state, count(*) AS runs\nFROM runs\nGROUP BY state\nORDER BY runs DESC"],
    ["The latest runs", "SELECT entity, project, run_id, display_name, state, created_at\nFROM runs\nORDER BY created_at DESC\nLIMIT 100"],
    ["What the learning rate does", "SELECT num(config, 'lr') AS lr, count(*) AS runs, median(num(summary, 'loss')) AS loss\nFROM runs\nGROUP BY lr\nORDER BY lr"],
    ["A metric of some runs, step by step", "SELECT run_id, step, value AS loss\nFROM metrics\nWHERE key = 'loss' AND isfinite(value)\n  AND run_id IN (SELECT run_id FROM runs ORDER BY created_at DESC LIMIT 5)\nORDER BY run_id, step"],
    ["Config keys that differ", "SELECT key, count(DISTINCT text) AS different_values\nFROM config_values\nGROUP BY key\nHAVING different_values > 1\nORDER BY different_values DESC"],
    ["What broke, in the consoles", "SELECT run_id, number, line\nFROM console_lines\nWHERE line ILIKE '%error%'\nORDER BY run_id, number"],
    ["Deliveries to the server", "SELECT run_id, kind, outcome, ended_at\nFROM receipts\nORDER BY ended_at DESC\nLIMIT 20"],
  ];
  const RESERVED = new Set(["group", "user", "order", "end", "table", "column", "check", "default", "from", "to", "select", "where", "limit", "all", "case", "when", "then"]);
  const KEYWORDS = ["SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "HAVING", "JOIN", "LEFT JOIN", "DISTINCT", "DESC", "BETWEEN", "ILIKE", "count(*)", "avg(", "min(", "max(", "median(", "arg_min(", "arg_max(", "num(", "str(", "date_trunc("];
  const FIRST = ["runs", "metrics", "config_values", "summary_values", "system_metrics", "console_lines", "files", "artifacts"];
  const quoted = (name) => (/^[a-z_][a-z0-9_]*$/.test(name) && !RESERVED.has(name) ? name : `"${name.replaceAll('"', '""')}"`);

  // --- Earlier queries ----------------------------------------------------------------------------------------------
  const earlier = () => {
    try {
      return JSON.parse(localStorage.getItem(HISTORY)) || [];
    } catch {
      return [];
    }
  };
  const remember = (query) => {
    try {
      localStorage.setItem(HISTORY, JSON.stringify([query, ...earlier().filter((one) => one !== query)].slice(0, KEPT)));
    } catch { /* no room, or no storage: the address still has it */ }
  };
  const picker = (label, items) => wm.menuButton(label, label, (menu) => wm.pick(menu, { chosen: new Set(), onpick: (query) => { area.value = query; run(); }, items: items() }));
  const oneLine = (query) => query.replace(/\s+/g, " ").slice(0, 120);

  // --- The editor ---------------------------------------------------------------------------------------------------
  const area = el("textarea", { class: "code", "aria-label": "SQL query", rows: 8, wrap: "off", spellcheck: "false", autocapitalize: "off", autocomplete: "off", placeholder: "SELECT … FROM runs",
    value: wm.view.get("q", EXAMPLES[0][1]),
    onkeydown: (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      run();
    } });
  const runButton = el("button", { type: "button", class: "main", onclick: () => run() }, "Run");
  const told = el("span", { class: "told", role: "status" });
  const answer = el("div", { class: "answer" });
  const insert = (text) => {
    area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
    area.focus();
  };
  const save = async (kind) => {
    try {
      const response = await wm.send(`sql/${kind}`, { query: area.value });
      const address = URL.createObjectURL(await response.blob());
      el("a", { href: address, download: `query.${kind}` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch (error) {
      fill(answer, wm.trouble(error));
    }
  };

  // --- The answer ---------------------------------------------------------------------------------------------------
  const isNumber = ({ type }) => /INT|DOUBLE|FLOAT|REAL|DECIMAL/.test(type) && !type.endsWith("]");
  const isTime = ({ type }) => /^(TIMESTAMP|DATE)/.test(type);
  const text = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : value);
  const seconds = (value) => Date.parse(/[zZ]$/.test(value) ? value : value.replace(" ", "T") + "Z") / 1000;

  const asTable = (place, { columns, rows }) => wm.table(place, { label: "Answer", rows, sortable: true, empty: "No rows.",
    columns: columns.map((column, at) => ({ name: String(at), label: column.name, title: `${column.name} ${column.type}`, align: isNumber(column) ? "right" : null })) });

  const asBars = (place, rows, x, y) => {
    const bars = rows.filter((row) => typeof row[y] === "number"), shown = bars.slice(0, MOST_BARS);
    const most = Math.max(...shown.map((row) => Math.abs(row[y])), 1e-300);
    fill(place, bars.length > shown.length ? el("p", { class: "told" }, `${shown.length} of ${wm.plural(bars.length, "row")}: the first ones`) : null,
      el("ul", { class: "chart-bars" }, shown.map((row) => el("li", {}, wm.name(String(text(row[x]) ?? "null"), { class: "cut" }), el("span", { class: row[y] < 0 ? "bar below" : "bar", style: { width: `${(Math.abs(row[y]) / most) * 100}%` } }), el("span", {}, wm.number(row[y]))))));
  };

  const asLines = (place, { columns, rows }, x, y, colour) => {
    const time = isTime(columns[x]), groups = new Map();
    for (const row of rows) {
      const at = time && row[x] !== null ? seconds(row[x]) : row[x];
      if (typeof at !== "number" || typeof row[y] !== "number") continue;
      const name = colour < 0 ? columns[y].name : String(text(row[colour]) ?? "null");
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push([at, row[y]]);
    }
    const names = [...groups.keys()], shown = names.slice(0, MOST_LINES), colours = wm.colours(shown);
    const lines = shown.map((name) => {
      const points = groups.get(name).sort((left, right) => left[0] - right[0]);
      return { id: name, name, colour: colours.get(name), x: points.map(([at]) => at), y: points.map(([, value]) => value) };
    });
    const frame = el("div");
    fill(place, names.length > shown.length ? el("p", { class: "told" }, `${shown.length} of ${wm.plural(names.length, "line")}`) : null, frame,
      colour < 0 ? null : el("ul", { class: "legend" }, shown.map((name) => el("li", {}, el("span", { class: "swatch", style: { background: colours.get(name) } }), wm.name(name)))));
    wm.chart(frame, { label: `${columns[y].name} by ${columns[x].name}, ${wm.plural(shown.length, "line")}`, height: 380, lines, points: rows.length < 200, x: { label: columns[x].name, kind: time ? "time" : "number" }, y: { label: columns[y].name } });
  };

  const asChart = (place, found) => {
    const { columns, rows } = found;
    const numbers = columns.map((column, place) => [column, place]).filter(([column]) => isNumber(column)).map(([, place]) => place);
    if (!numbers.length) return fill(place, wm.nothing("A chart needs a column of numbers."));
    const graded = (at) => isNumber(columns[at]) || isTime(columns[at]);
    const named = (name, otherwise) => { const at = columns.findIndex((column) => column.name === wm.view.get(name)); return at < 0 ? otherwise : at; };
    const all = columns.map((_, at) => at), isBars = wm.view.get("as") === "bars";
    // Along x what grows, where there is something left for y; bars stand for what has a name.
    const guessX = Math.max(0, !isBars && all.filter(graded).length > 1 ? all.find(graded) : columns.findIndex((_, at) => !graded(at)));
    const guessY = numbers.filter((at) => at !== guessX).at(-1) ?? numbers[0];
    const chosen = { x: named("x", guessX), y: named("y", guessY), colour: named("colour", wm.view.get("colour") === "-" ? -1 : columns.findIndex((_, at) => !graded(at) && at !== guessX)) };
    const chart = el("div");
    const draw = () => (graded(chosen.x) && !isBars ? asLines(chart, found, chosen.x, chosen.y, chosen.colour) : asBars(chart, rows, chosen.x, chosen.y));
    const select = (name, label, allowed, none) => el("label", { class: "inline" }, label, el("select", { onchange: (event) => {
      chosen[name] = Number(event.target.value);
      wm.view.set({ [name]: chosen[name] < 0 ? "-" : columns[chosen[name]].name });
      draw();
    } }, none ? el("option", { value: -1, selected: chosen[name] < 0 }, none) : null, allowed.map((at) => el("option", { value: at, selected: at === chosen[name] }, columns[at].name))));
    fill(place, el("div", { class: "bar" }, select("x", "x", all), select("y", "y", numbers), isBars ? null : select("colour", "colour", all, "none")), chart);
    draw();
  };

  const show = (found) => {
    const place = el("div"), views = [["", "Table"], ["chart", "Lines"], ["bars", "Bars"]];
    const buttons = views.map(([name, label]) => el("button", { type: "button", onclick: () => { wm.view.set({ as: name }); draw(); } }, label));
    const draw = () => {
      const as = wm.view.get("as");
      views.forEach(([name], at) => buttons[at].setAttribute("aria-pressed", String(name === as)));
      fill(place);
      (as ? asChart : asTable)(place, found);
    };
    fill(answer, el("div", { class: "bar" }, el("div", { class: "row", role: "group", "aria-label": "Shown as" }, buttons), el("span", { class: "push" }),
      el("button", { type: "button", onclick: () => save("csv") }, "CSV"), el("button", { type: "button", onclick: () => save("parquet") }, "Parquet")), place);
    draw();
  };

  let last = 0;
  const run = async () => {
    const query = area.value.trim(), mine = ++last;
    if (!query) return area.focus();
    wm.view.set({ q: query });
    runButton.disabled = true;
    told.textContent = "running …";
    try {
      const found = await wm.post("sql", { query, limit: LIMIT });
      if (mine !== last) return;
      remember(query);
      told.textContent = `${found.more ? `the first ${wm.number(found.rows.length)} rows` : wm.plural(found.rows.length, "row")}, ${wm.number(found.seconds)} s`;
      show(found);
    } catch (error) {
      if (mine !== last) return;
      told.textContent = "";
      fill(answer, el("div", { class: "trouble sql-trouble", role: "alert" }, el("pre", {}, error.message), error.hint ? el("span", { class: "hint" }, error.hint) : null));
    } finally {
      runButton.disabled = false;
    }
  };

  // --- Views at hand ------------------------------------------------------------------------------------------------
  const views = el("nav", { class: "schema", "aria-label": "Views and columns" });
  const drawViews = (found) => {
    const rank = ({ name }) => (FIRST.indexOf(name) + 1 || FIRST.length + 1);
    const all = [...found].sort((left, right) => rank(left) - rank(right));
    const list = el("div");
    const draw = (search) => {
      const wanted = wm.matcher(search);
      fill(list, all.map(({ name, columns }) => {
        const some = search && !wanted(name) ? columns.filter(([column]) => wanted(`${name}.${column}`)) : columns;
        if (!some.length) return null;
        return el("details", { open: Boolean(search) && some.length < columns.length }, el("summary", {}, wm.name(name), el("span", { class: "size" }, columns.length)),
          el("button", { type: "button", class: "plain tool", onclick: () => insert(quoted(name)) }, "insert the name"),
          el("ul", {}, some.map(([column, type]) => el("li", {}, el("button", { type: "button", class: "option", onclick: () => insert(quoted(column)) }, wm.name(column, { class: "cut" }), el("span", { class: "note" }, type.toLowerCase()))))));
      }));
    };
    fill(views, el("h2", {}, "Views"), wm.filterBox("Filter views and columns", draw), list);
    draw("");
    const words = new Map(KEYWORDS.map((word) => [word, { text: word, insert: word, note: "" }]));
    for (const { name, columns } of all) {
      for (const [column, type] of columns) words.set(column, { text: column, insert: quoted(column), note: type.toLowerCase() });
      words.set(name, { text: name, insert: quoted(name), note: "view" });
    }
    const known = [...words.values()].reverse();
    wm.complete(area, () => known);
  };

  fill(main, el("h1", { class: "unseen" }, "SQL"), el("div", { class: "sql" }, views, el("div", { class: "query" },
    el("div", { class: "editor-box" }, area),
    el("div", { class: "bar" }, runButton, el("kbd", {}, "Ctrl Enter"), told, el("span", { class: "push" }),
      picker("Examples", () => EXAMPLES.map(([label, name]) => ({ name, label }))), picker("History", () => earlier().map((name) => ({ name, label: oneLine(name) })))), answer)));
  wm.get("schema").then((found) => drawViews(found.views), (error) => fill(views, wm.trouble(error)));
  addEventListener("popstate", () => { area.value = wm.view.get("q", area.value); run(); });
  if (wm.view.get("q")) run();
})();
