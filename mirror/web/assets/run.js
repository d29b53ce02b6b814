// The page of one run: overview, metrics, system, console, files, media, artifacts; what may be changed is changed there.
"use strict";

(() => {
  const { el, fill, settings } = wm;
  const { entity, project, run: id } = settings;
  const run = [entity, project, id].map(encodeURIComponent).join("/");
  const main = document.getElementById("main");

  let now = null; // the answer that is shown
  let marks = new Map(); // what waits to be delivered: by the name of what it changes

  const FIELDS = { display_name: "name" };

  const waiting = (entries) => {
    const found = new Map();
    for (const entry of entries) {
      const { operation = {} } = entry;
      for (const field of Object.keys(operation.fields || {})) found.set(FIELDS[field] || field, entry);
      for (const kind of ["config", "summary"]) for (const key of Object.keys(operation[kind] || {})) found.set(`${kind}.${key}`, entry);
      if (entry.kind === "update_state" || entry.kind === "stop") found.set("state", entry);
    }
    return found;
  };
  const mark = (name, tag = wm.isStatic ? "span" : "a") => {
    const entry = marks.get(name);
    if (!entry) return null;
    const [text, tone] = { conflict: ["in conflict", "bad"], dead: ["refused", "bad"] }[entry.state] || ["queued", "warn"];
    return el(tag, { class: `mark ${tone}`, href: tag === "a" && "/-/mirror#outbox", title: entry.reason || entry.wish }, text);
  };
  const change = (name, was, is) => wm.queue(run, { [name]: { was, is } });
  const editor = (place, options) => wm.editor(place, { ...options, done: () => refresh() });
  const tool = (text, label, onclick) => (wm.readOnly ? null : el("button", { type: "button", class: "plain tool", "aria-label": label, onclick }, text));

  // Sections are drawn anew only when what they show has changed, so that nothing jumps and no focus is lost.
  const sections = new Map();
  const section = (name, shown, draw) => {
    if (!sections.has(name)) sections.set(name, { place: el(name === "head" ? "header" : "section", { class: `part ${name}` }), was: null });
    const one = sections.get(name), is = JSON.stringify(shown);
    if (one.was !== is) fill(one.place, draw());
    one.was = is;
    return one.place;
  };
  const waits = (prefix) => [...marks].filter(([name]) => name.startsWith(prefix)).map(([name, { state, reason }]) => [name, state, reason]);

  // --- What stands above the tabs ------------------------------------------------------------------------------------
  const editText = (place, name, label, was) => {
    const field = el("input", { "aria-label": label, value: was || "", autocomplete: "off" });
    editor(place, { label, controls: field, save: () => change(name, was, field.value) });
  };
  const editState = (place) => {
    const field = el("select", { "aria-label": "State" }, now.states.map((state) => el("option", { value: state }, state)));
    editor(place, { label: "Change the state", controls: field, save: () => change("state", now.state, field.value) });
  };
  const editTags = (place) => {
    const field = wm.tagField(now.tags);
    editor(place, { label: "Change the tags", controls: field.element, save: () => change("tags", now.tags, field.read()) });
  };
  const head = () => section("head", [now.name, now.state, now.states, now.tags, now.gone, waits("")], () => {
    const title = el("span", { class: "place" }), state = el("span", { class: "place" }), tags = el("span", { class: "place" });
    fill(title, mark("name"), tool("rename", "Rename the run", () => editText(title, "name", "Name", now.name)));
    fill(state, wm.state(now.state), mark("state"), now.states.length ? tool("change", "Change the state", () => editState(state)) : null);
    fill(tags, now.tags.length ? wm.tags(now.tags) : null, mark("tags"),
      tool(now.tags.length ? "edit tags" : "add tags", `${now.tags.length ? "Edit" : "Add"} tags of the run`, () => editTags(tags)));
    return [el("div", { class: "row" }, el("h1", {}, wm.name(now.name || id)), title), el("div", { class: "under" }, state, now.gone ? el("span", { class: "mark bad" }, "deleted upstream") : null, tags,
      el("span", { class: "push" }), el("code", { class: "id" }, wm.name(id)), now.url ? el("a", { href: now.url, rel: "noreferrer" }, "On the server") : null)];
  });

  // --- Overview -----------------------------------------------------------------------------------------------------
  const kept = { config: {}, summary: {}, metadata: {} };

  const editValue = (path, row) => {
    const [key] = path, was = now.config[key];
    const old = path.reduce((value, part) => value?.[part], now.config);
    const field = wm.valueField(path.join("."), old);
    const save = () => {
      const whole = structuredClone(now.config);
      path.slice(0, -1).reduce((value, part) => value[part], whole)[path.at(-1)] = field.read();
      return change(`config.${key}`, was, whole[key]);
    };
    editor(row, { label: `Change ${path.join(".")}`, controls: [el("span", { class: "key" }, wm.name(path.join("."))), field.field, field.says], save });
  };
  const addValue = (place) => {
    const key = el("input", { "aria-label": "Key", placeholder: "key", required: true, autocomplete: "off", spellcheck: "false" }), field = wm.valueField("Value");
    editor(place, { label: "Add a config value", controls: [key, field.field, field.says], save: async () => {
      if (Object.hasOwn(now.config, key.value)) throw new wm.Refused("this key is there already", "edit its value instead");
      await change(`config.${key.value}`, undefined, field.read());
    } });
  };
  const values = (name, title, tools) => section(name, [now[name], waits(name)], () => [
    el("div", { class: "part-head" }, el("h2", {}, title), el("span", { class: "size" }, wm.number(Object.keys(now[name] || {}).length)), tools?.()),
    el("div", { class: "add-place" }),
    Object.keys(now[name] || {}).length
      ? wm.tree(now[name], { label: title.toLowerCase(), kept: kept[name], mark: (path) => (path.length === 1 ? mark(`${name}.${path[0]}`, "span") : null),
        edit: name === "config" && !wm.readOnly ? editValue : null })
      : wm.nothing("Nothing."),
  ]);
  const notes = () => section("notes", [now.notes, now.notes_html, waits("notes")], () => {
    const place = el("div", { class: "place" });
    const edit = () => {
      const field = el("textarea", { "aria-label": "Notes, Markdown", rows: 8, value: now.notes || "" });
      editor(place, { label: "Change the notes", controls: [field, el("span", { class: "typed" }, "Markdown. Ctrl-Enter queues, Esc leaves it as it was.")], save: () => change("notes", now.notes, field.value) });
    };
    const text = el("div", { class: "markdown" });
    text.innerHTML = now.notes_html; // cleaned by the server
    return [el("div", { class: "part-head" }, el("h2", {}, "Notes"), mark("notes"), tool(now.notes ? "edit" : "add", now.notes ? "Edit the notes" : "Add notes", edit)),
      fill(place, now.notes ? text : wm.nothing("No notes."))];
  });
  const facts = () => section("facts", [now.facts, now.group, now.sweep, now.description, waits("group")], () => {
    const group = el("dd", { class: "place" });
    fill(group, now.group ? wm.name(now.group) : el("span", { class: "soft" }, "none"), mark("group"), tool("edit", "Edit the group", () => editText(group, "group", "Group", now.group)));
    return [el("h2", {}, "Facts"), el("dl", { class: "facts" }, now.facts.filter(([name]) => name !== "Group" && name !== "Sweep").map(([name, value]) => [el("dt", {}, name), el("dd", {}, wm.name(String(value ?? "")))]),
      now.description ? [el("dt", {}, "Description"), el("dd", {}, wm.name(now.description))] : null, el("dt", {}, "Group"), group,
      now.sweep && !wm.isStatic ? [el("dt", {}, "Sweep"), el("dd", {}, wm.link(wm.address.sweep(entity, project, now.sweep), now.sweep))] : null)];
  });
  const notices = () => section("notices", now.notices, () => now.notices.map(({ kind, title, lines }) =>
    el("div", { class: `notice ${kind}` }, el("strong", {}, title), lines.length ? el("ul", {}, lines.map((line) => el("li", {}, line))) : null,
      kind === "pending" && !wm.isStatic ? el("a", { href: "/-/mirror#outbox" }, "To the outbox") : null)));

  const drawOverview = (panel) => {
    const parts = [notices(), notes(), values("config", "Config", () => tool("add", "Add a config value", (event) => addValue(event.target.closest(".part").querySelector(".add-place")))),
      values("summary", "Summary"), values("metadata", "Metadata"), facts()];
    parts[4].hidden = !now.metadata;
    if (!panel.hasChildNodes()) panel.append(el("div", { class: "overview" }, parts.at(-1), el("div", { class: "rest" }, parts.slice(0, 2), el("div", { class: "pair" }, parts.slice(2, 4)), parts[4])));
  };

  // --- The other tabs -----------------------------------------------------------------------------------------------
  const into = (panel, work) => {
    const place = el("div", {}, el("p", { class: "told" }, "Reading …"));
    fill(panel, place);
    Promise.resolve().then(() => work(place)).catch((error) => fill(place, wm.trouble(error)));
  };
  const artifacts = async (place) => {
    const { logged, used } = await wm.get("artifacts", { run });
    const list = (title, some) => wm.section(title, some.length ? wm.listing(title, ["Name", "Type", "Aliases", { label: "Size", align: "number" }, "Created"], some.map((one) => [
      wm.link(wm.isStatic ? null : wm.address.artifact(one.entity, one.project, one.type, one.name, one.version), `${one.name}:${one.version}`),
      wm.name(one.type), wm.tags(one.aliases), wm.bytes(one.size), wm.time(one.created_at)])) : wm.nothing("None."));
    fill(place, list("Logged", logged), list("Used", used));
  };
  let shownConsole = null;
  const shownCurves = [];
  // Every key of the history with its figures, as a table.
  const figures = () => {
    const place = el("div"), columns = [["key", "Key"], ["points", "Points"], ["first_step", "First step"], ["last_step", "Last step"], ["last", "Last"], ["low", "Lowest"], ["high", "Highest"]];
    return el("details", { class: "figures", ontoggle: () => place.hasChildNodes() || wm.table(place, { label: "Figures of all keys", rows: now.metrics, sortable: true,
      cells: (metric) => columns.map(([name]) => metric[name]), columns: columns.map(([name, label], at) => ({ name, label, title: label, align: at ? "right" : null })) }) },
    el("summary", {}, `Figures of ${wm.plural(now.metrics.length, "key")}`), place);
  };
  const tabs = wm.tabs(main, [
    { name: "overview", label: "Overview", show: drawOverview },
    { name: "metrics", label: "Metrics", show: (panel) => into(panel, (place) => {
      fill(place, now.metrics.length ? figures() : null);
      shownCurves.push(wm.curves(place, { project: `${entity}/${project}`, runs: [{ id, name: now.name || id, colour: wm.colour(id) }] }));
    }) },
    { name: "system", label: "System", show: (panel) => into(panel, (place) => shownCurves.push(wm.curves(fill(place), { run, system: now.system }))) },
    { name: "console", label: "Console", show: (panel) => { shownConsole = wm.console(panel, { run, running: now.state === "running" }); } },
    { name: "files", label: "Files", show: (panel) => into(panel, async (place) => wm.files(fill(place), (await wm.get("files", { run })).files, { run })) },
    { name: "media", label: "Media", show: (panel) => into(panel, (place) => wm.media(place, run)) },
    { name: "artifacts", label: "Artifacts", show: (panel) => into(panel, artifacts) },
  ]);

  // Asks for the run again; what is open and costs its reader a place stays as it is until it is opened again.
  const refresh = async () => {
    const answer = await wm.get("run", { run });
    if (wm.isEditing()) return;
    now = answer;
    marks = waiting(now.pending);
    document.title = `${now.name || id} · wandb-mirror`;
    head();
    if (tabs.panel("overview").hasChildNodes()) drawOverview(tabs.panel("overview"));
    for (const name of ["files", "media", "artifacts"]) if (tabs.panel(name).hidden) fill(tabs.panel(name));
    tabs.count("metrics", now.metrics.length);
    tabs.count("console", now.counts.console);
    tabs.count("files", now.counts.files);
    tabs.count("artifacts", now.counts.artifacts);
    shownConsole?.refresh();
    for (const shown of shownCurves) shown.refresh();
  };
  refresh().then(() => {
    main.prepend(head());
    tabs.open();
    wm.watch(() => { if (!wm.isEditing()) refresh().catch(wm.sayError); });
  }, (error) => fill(main, el("h1", {}, wm.name(id)), wm.trouble(error)));
})();
