// The page of a project or a sweep: its runs in a table, their curves beside it, and two views of many runs at once.
"use strict";

(() => {
  const { entity, project: projectName, sweep } = wm.settings;
  const project = `${entity}/${projectName}`;
  const base = sweep ? { sweep } : null;
  const DRAWN = 10, MOST_DRAWN = 100; // runs that are drawn at first, and at most
  const COLUMNS = { summary: 10, config: 10, fact: 5 }; // so many of each kind are shown at first
  const GROUPED = 600, LISTED = 5000; // runs of all groups that are drawn; runs that are asked for their group
  const STATES = new Set(["running", "pending", "preempting", "finished", "failed", "crashed", "killed"]);
  const stateClass = (state) => (STATES.has(state) ? `state ${state}` : "state");
  const LIKELY = /loss|acc|score|reward|error/i; // measures that people look at first
  const FACTS = ["created_at", "duration", "tags", "group", "job_type", "user", "sweep"];
  const TABS = [["runs", "Runs"], ["parallel", "Parallel"], ["scatter", "Scatter"]];
  const main = document.getElementById("main");
  const href = (id) => wm.address.run(entity, projectName, id);

  // The address may hold anything: what is no list of names, or no filter, is left out.
  const names = (name) => {
    const found = wm.view.json(name, null);
    return Array.isArray(found) ? found.map(String) : null;
  };
  const filterOf = (found) => (found && typeof found === "object" && !Array.isArray(found) ? found : null);
  const FIRST_TAB = sweep ? "parallel" : "runs", ORDER = "-created_at";
  const read = () => ({
    search: wm.view.get("search"), filters: filterOf(wm.view.json("filters", null)), order: wm.view.get("order", ORDER),
    columns: names("columns"), group: names("group") || [], drawn: names("drawn"),
    first: Math.min(MOST_DRAWN,
      Math.max(0, Number(wm.view.get("first", String(DRAWN))) || 0)), tab: wm.view.get("tab", FIRST_TAB),
  });
  let state = read();
  const keep = () => wm.view.set({
    search: state.search, filters: state.filters, order: state.order === ORDER ? null : state.order, columns: state.columns,
    group: state.group.length ? state.group : null, drawn: state.drawn,
    first: state.first === DRAWN ? null : state.first, tab: state.tab === FIRST_TAB ? null : state.tab,
  });
  const listing = () => ({ project, filters: wm.allOf(base, state.filters), search: state.search, order: state.order });

  // The columns of the project, and those that are shown: of those that most runs have, what is nested least.
  let columns = [], info = new Map();
  const loadColumns = async () => {
    const answer = await wm.get("columns", { project });
    const order = (one, other) => (one.kind === "fact" ? 0 : wm.natural(one.name, other.name));
    columns = answer.columns.sort((one, other) => isOurs(one.name) - isOurs(other.name) || order(one, other));
    counts.all = answer.runs;
    info = new Map(columns.map((each) => [each.name, each]));
  };
  const isOurs = (name) => name.startsWith("summary._") || name.startsWith("config._");
  const shownColumns = () => {
    if (state.columns) return state.columns;
    const weight = ({ name }) => name.split(/[./]/).length - (LIKELY.test(name) ? 10 : 0);
    const some = (kind) => {
      const all = columns.filter((each) => each.kind === kind && !each.same && each.type !== "other" && !isOurs(each.name)),
        common = all.filter(({ runs }) => runs >= counts.all / 2);
      const sorted = (common.length ? common : all).sort((one, other) => weight(one) - weight(other));
      return sorted.slice(0, COLUMNS[kind]).map(({ name }) => name);
    };
    const facts = FACTS.filter((name) => name === "created_at" || (info.has(name) && !info.get(name).same)).slice(0, COLUMNS.fact);
    return [...some("summary"), ...some("config"), ...facts];
  };

  // How a column's cells are shown.
  const CELLS = {
    created_at: (value) => wm.el("span", { class: "cut", title: wm.time(value) }, value ? wm.ago(value) : "–"),
    duration: (value) => wm.el("span", { class: "cut" }, typeof value === "number" ? wm.duration(value) : "–"),
    tags: (value) => (Array.isArray(value) ? value.map((tag) => wm.el("bdi", { class: "tag", title: tag }, tag)) : wm.cell(value)),
    state: (value) => wm.el("span", { class: stateClass(value) }, value || "–"),
  };
  CELLS.heartbeat_at = CELLS.updated_at = CELLS.created_at;
  const WIDTHS = { created_at: 104, heartbeat_at: 104, duration: 96, state: 100 };
  const LABELS = {
    display_name: "Name", run_id: "ID", created_at: "Created", heartbeat_at: "Last activity", job_type: "Job type",
    history_line_count: "Logged rows"
  };
  const labelOf = (name) => {
    if (info.get(name)?.kind === "fact") return LABELS[name] || name[0].toUpperCase() + name.slice(1);
    return name.replace(/^(summary|config)\./, "");
  };
  const describe = (name) => ({
    name, label: labelOf(name), title: name, width: WIDTHS[name], cell: CELLS[name],
    align: info.get(name)?.type === "number" || name === "duration" ? "right" : null,
    measure: name === "tags" ? (value) => (Array.isArray(value) ? value.join(" ".repeat(9)) : String(value)) : undefined,
  });

  // What is drawn: the first runs of the listing, or those that were checked; with groups, the same of groups.
  const seen = new Map(); // what is known of a run, by id
  let listed = [], counts = { total: 0, all: 0 }, groups = [], members = null, shownKey = "";
  const chosenIds = () => state.drawn || (state.group.length ? groups : listed).slice(0, state.first).map(({ id }) => id);
  let colours = new Map();
  const isDrawn = (row) => colours.has(row.id);

  const atMost = (ids) => Math.floor(GROUPED / Math.max(12, ids.length)); // runs of a group: an address holds only so many
  const draw = () => {
    const ids = chosenIds();
    if (ids.join() !== [...colours.keys()].join()) {
      colours = wm.colours(ids);
      table.paint();
    }
    showDrawn(ids);
    const named = ids.map((id) => ({ id, name: seen.get(id)?.name || id, colour: colours.get(id), href: href(id) }));
    const grouped = state.group.length ? named.map((each) => ({
      name: groupName(each.id), ids: (members?.get(each.id) || []).slice(0, atMost(ids)), colour: each.colour
    })).filter(({ ids: runs }) => runs.length) : null;
    const key = JSON.stringify([grouped, grouped ? null : named]);
    if (key === shownKey) return;
    shownKey = key;
    curves.show(grouped ? { groups: grouped } : { runs: named });
  };

  // Names of runs that were drawn before they were seen in the table.
  const learn = async () => {
    const strangers = state.group.length ? [] : (state.drawn || []).filter((id) => !seen.has(id));
    if (!strangers.length) return;
    const answer = await wm.get("runs", { project, filters: { name: { $in: strangers } }, columns: [], limit: MOST_DRAWN });
    for (const row of answer.rows) seen.set(row.id, row);
    draw();
  };

  const toggle = (rows, on) => {
    const ids = new Set(chosenIds());
    for (const { id } of rows) {
      if (on) ids.add(id);
      else ids.delete(id);
    }
    if (ids.size > MOST_DRAWN) wm.say(`At most ${MOST_DRAWN} are drawn at once.`, "bad");
    state.drawn = [...ids].slice(0, MOST_DRAWN);
    keep();
    draw();
  };
  const drawFirst = (count) => {
    state.drawn = null;
    state.first = count;
    keep();
    draw();
  };

  // Elements
  const count = wm.el("span", { class: "soft", role: "status" });
  const drawnBar = wm.el("div", { class: "drawn" });
  const toolbar = wm.el("div", { class: "toolbar", role: "search", "aria-label": "Runs" });
  const tablePane = wm.el("div", { class: "pane table-pane" }, drawnBar),
    chartsPane = wm.el("section", { class: "pane charts-pane", "aria-label": "Curves" });
  const divider = wm.el("div",
    {
      class: "divider", role: "separator", tabindex: 0, "aria-orientation": "vertical", "aria-label": "Width of the table",
      "aria-valuemin": 15, "aria-valuemax": 85, "aria-valuenow": 38
    });
  const split = wm.el("div", { class: "split" }, tablePane, divider, chartsPane);
  const views = { runs: split, parallel: wm.el("div", { class: "view" }), scatter: wm.el("div", { class: "view" }) };

  const showCount = () => {
    const { total, all } = counts;
    count.textContent = total === all ? wm.plural(all, "run") : `${wm.number(total)} of ${wm.plural(all, "run")}`;
  };
  const showDrawn = (ids) => {
    const noun = state.group.length ? "group" : "run",
      all = state.group.length ? groups.length : state.drawn ? counts.all : counts.total;
    const first = (size) => wm.el("button",
      {
        type: "button", class: "link", "aria-label": `Draw the first ${size}`,
        "aria-pressed": String(!state.drawn && state.first === size), onclick: () => drawFirst(size)
      },
      String(size));
    const held = state.group.length && members ? ids.reduce(
      (sum, id) => sum + Math.max(0, (members.get(id)?.length || 0) - atMost(ids)), 0
    ) : 0;
    wm.fill(drawnBar,
      wm.el("span", { role: "status" },
        "Drawn: ", wm.el("b", {}, `${wm.number(ids.length)} of ${wm.plural(all, noun)}`),
        held ? `, of each group at most ${atMost(ids)} runs` : ""),
      wm.el("span", { class: "row" },
        "first", [10, 20, 50].map(first),
        wm.el("button", { type: "button", class: "link", disabled: !ids.length, onclick: () => drawFirst(0) }, "none")),
      wm.el("span", { class: "grow" }),
      !state.group.length && ids.length > 1 && !wm.isStatic ? wm.el("a",
        { class: "button", href: wm.address.compare(entity, projectName, ids) }, `Compare ${ids.length}`) : null);
  };

  // The table
  const nameColumn = { name: "display_name", label: "Name", width: innerWidth < 600 ? 180 : 230, first: "+", cell: (_, row) => [
    wm.el("span", { class: stateClass(row.state), title: row.state },
      wm.el("span", { class: "unseen" }, row.state || "state unknown")),
    wm.el("a", { class: "cut", href: href(row.id), tabindex: -1, title: row.name || row.id },
      wm.el("bdi", {}, row.name || row.id)),
    row.pending ? wm.el("span", { class: "queued", title: `${wm.plural(row.pending, "change")} queued` },
      wm.el("span", { class: "unseen" }, "changes queued")) : null,
    row.gone ? wm.el("span", { class: "tag", title: "It is not on the server any more" }, "gone") : null,
  ] };
  const table = wm.table(tablePane, {
    label: "Runs", columns: [nameColumn], rows: async () => ({ total: 0, rows: [] }), empty: " ", href: ({ id }) => href(id),
    select: {
      has: isDrawn, colour: ({ id }) => colours.get(id) || "", toggle, label: ({ id, name }) => `Draw ${name || id}`
    },
    onhover: (row) => curves.emphasise(row && isDrawn(row) ? (state.group.length ? groupName(row.id) : row.id) : null),
  });
  const curves = wm.curves(chartsPane, { project });

  const nothing = () => wm.el("div", { class: "empty" }, wm.el("h2", {}, counts.all ? "No run is like this" : "No runs yet"),
    counts.all ? wm.el("button", { type: "button", onclick: () => change({ filters: null, search: "" }) },
      "Show all runs") : wm.el("code", {}, `wandb-mirror pull ${project}`));
  let shownNames = [];
  const showRuns = () => {
    const names = shownNames = shownColumns();
    table.update({
      label: "Runs: arrow keys move, space draws, Enter opens", columns: [nameColumn, ...names.map(describe)],
      sort: state.order, sortable: false, empty: nothing, cells: (row) => [row.name, ...row.cells], href: ({ id }) => href(id),
      onsort: (order) => change({ order }),
      rows: async (offset, limit, signal) => {
        const answer = await wm.get("runs", { ...listing(), columns: names, offset, limit }, { signal });
        for (const row of answer.rows) seen.set(row.id, row);
        counts = answer;
        showCount();
        if (offset === 0) {
          listed = answer.rows;
          draw();
        }
        return answer;
      },
      onerror: () => { counts = { total: 0, all: counts.all }; },
    });
  };

  // Groups: each a row; their runs are found by one listing of the grouping columns.
  const valueName = (value) => (value === null ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value));
  const groupName = (id) => JSON.parse(id).map(valueName).join(" · ");
  const showGroups = async () => {
    const by = state.group,
      numeric = shownColumns().filter((name) => info.get(name)?.type === "number" && !by.includes(name)).slice(0, 6);
    members = null;
    try {
      const [answer, runs] = await Promise.all([
        wm.get("groups", { project, filters: listing().filters, search: state.search, by, columns: numeric }),
        wm.get("runs", { ...listing(), columns: by, limit: LISTED }),
      ]);
      if (by !== state.group) return;
      counts = runs;
      showCount();
      members = new Map();
      for (const row of runs.rows) {
        const id = JSON.stringify(row.cells);
        if (!members.has(id)) members.set(id, []);
        members.get(id).push(row.id);
      }
      groups = answer.rows.map((cells) => ({ id: JSON.stringify(cells.slice(0, by.length)), cells }));
      const open = (cells) => change({
        group: [], drawn: null,
        filters: wm.allOf(state.filters, ...by.map((name, place) => ({ [wm.filterField(name)]: cells[place] })))
      });
      table.update({
        label: "Groups: arrow keys move, space draws", empty: "No groups",
        sortable: true, sort: null, onsort: null, cells: null, href: null,
        columns: answer.columns.map((name, place) => ({
          name, label: name.replace(/(summary|config)\./, ""), width: place === 0 ? 200 : undefined,
          align: place >= by.length ? "right" : null,
          cell: place === 0 ? (value, row) => wm.el("button",
            { type: "button", class: "link cut", tabindex: -1, title: "Show these runs", onclick: () => open(row.cells) },
            wm.el("bdi", {}, valueName(value))
          ) : undefined,
        })),
        rows: groups,
      });
      draw();
    } catch (error) {
      wm.sayError(error);
    }
  };

  // The tools above
  const filters = wm.filters(toolbar,
    {
      project, base, filters: state.filters, search: state.search, columns: () => columns,
      onchange: (changes) => change(changes)
    });
  const named = (kinds, noteOf = () => null) => kinds.flatMap((kind) => columns.filter((each) => each.kind === kind)).map((each) => ({
    ...each, label: labelOf(each.name), note: noteOf(each)
  }));
  const tool = (name, build) => {
    const label = wm.el("bdi", { class: "cut", style: { maxWidth: "140px" } });
    return { label, button: wm.menuButton([wm.el("span", { class: "soft" }, name), label], name, build) };
  };
  const restore = (text, changes) => () => wm.el("button", { type: "button", onclick: () => {
    wm.closeMenu(true);
    change(changes);
  } }, text);
  const order = tool("Order", (menu) => {
    const sign = (text, value) => wm.el("label", { class: "check" },
      wm.el("input",
        {
          type: "radio", name: "sign", checked: state.order[0] === value,
          onchange: () => change({ order: value + state.order.slice(1) })
        }),
      text);
    wm.pick(menu,
      {
        items: named(["fact", "summary", "config"]), chosen: new Set([state.order.slice(1)]),
        onpick: (name) => change({ order: state.order[0] + name }),
        foot: () => [sign("Highest or latest first", "-"), sign("Lowest or earliest first", "+")]
      });
  });
  const group = tool("Group", (menu) => wm.pick(menu, {
    many: true, items: named(["fact", "config"], (each) => (each.same ? "all agree" : null)), chosen: new Set(state.group),
    onpick: wm.later(300,
      (names) => change({ group: [...names], drawn: null })), foot: restore("No groups", { group: [], drawn: null }),
  }));
  const picked = tool("Columns", (menu) => {
    const shown = shownColumns();
    wm.pick(menu, {
      many: true, items: named(["summary", "config", "fact"],
        (each) => (each.same ? "all agree" : each.runs < counts.all ? wm.plural(each.runs, "run") : null)
      ), chosen: new Set(shown),
      onpick: wm.later(300,
        (names) => change({ columns: [
          ...shown.filter((name) => names.has(name)), ...[...names].filter((name) => !shown.includes(name))
        ] })
      ), foot: restore("The usual ones", { columns: null }),
    });
  });
  toolbar.append(wm.el("span", { class: "row push" }, order.button, group.button, picked.button));
  const showTools = () => {
    order.label.textContent = `${labelOf(state.order.slice(1))} ${state.order[0] === "-" ? "↓" : "↑"}`;
    group.label.textContent = state.group.map(labelOf).join(", ");
    picked.label.textContent = `${shownColumns().length} / ${columns.length}`;
    group.button.hidden = wm.isStatic || state.tab !== "runs";
    picked.button.hidden = state.tab !== "runs";
  };

  // Views
  const context = {
    project, listing, columns: () => columns, href, filter: (more) => change({ filters: wm.allOf(state.filters, more) })
  };
  const plots = { parallel: wm.parallelView(views.parallel, context), scatter: wm.scatterView(views.scatter, context) };
  const stale = new Set(["runs", "parallel", "scatter"]);
  const move = (event, place) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (place + step + TABS.length) % TABS.length;
    openTab(TABS[next][0]);
    tabs[next].focus();
  };
  const tabs = TABS.map(([name, label], place) => wm.el("button", {
    type: "button", role: "tab", id: "tab-" + name, "aria-controls": "view-" + name,
    onclick: () => openTab(name), onkeydown: (event) => move(event, place),
  }, label));
  const openTab = (name) => {
    state.tab = name in views ? name : "runs";
    keep();
    showTools();
    TABS.forEach(([each], place) => {
      views[each].hidden = each !== state.tab;
      tabs[place].setAttribute("aria-selected", String(each === state.tab));
      tabs[place].tabIndex = each === state.tab ? 0 : -1;
    });
    show();
  };
  // Shows what is seen anew, where it is stale.
  const show = () => {
    if (!stale.delete(state.tab)) return;
    if (state.tab !== "runs") return countRuns(), plots[state.tab]();
    if (state.group.length) showGroups();
    else showRuns();
  };
  const countRuns = async () => {
    try {
      counts = await wm.get("runs", { ...listing(), columns: [], limit: 1 });
      showCount();
    } catch { /* the view itself says what is wrong */ }
  };
  const change = (changes) => {
    Object.assign(state, changes);
    keep();
    if ("filters" in changes || "search" in changes || "group" in changes) filters.set(state);
    for (const name of Object.keys(views)) stale.add(name);
    showTools();
    show();
  };

  // The divider between table and curves; its place is remembered by the browser.
  const setSplit = (percent) => {
    const bounded = Math.max(15, Math.min(85, Math.round(percent)));
    split.style.setProperty("--split", bounded + "%");
    divider.setAttribute("aria-valuenow", bounded);
    try {
      localStorage.setItem("split", bounded);
    } catch { /* then it is not remembered */ }
  };
  divider.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    divider.setPointerCapture(event.pointerId);
  });
  divider.addEventListener("pointermove", (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    setSplit(((event.clientX - split.getBoundingClientRect().left) / split.clientWidth) * 100);
  });
  divider.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 2, ArrowLeft: -2 }[event.key];
    if (step) setSplit(Number(divider.getAttribute("aria-valuenow")) + step);
  });
  try {
    if (localStorage.getItem("split")) setSplit(Number(localStorage.getItem("split")));
  } catch { /* then it is as at first */ }

  for (const [name, view] of Object.entries(views)) {
    view.hidden = name !== "runs";
    view.id = "view-" + name;
    view.setAttribute("role", "tabpanel");
    view.setAttribute("aria-labelledby", "tab-" + name);
  }
  document.body.classList.add("app");
  wm.fill(main,
    wm.el("div", { class: "project-head" },
      wm.el("h1", { class: "cut", title: project }, wm.el("bdi", {}, sweep ? `Sweep ${sweep}` : projectName)),
      wm.el("div", { class: "tabs", role: "tablist", "aria-label": "Views" },
        tabs), wm.el("span", { class: "grow" }), count),
    toolbar, Object.values(views));

  const begin = async () => {
    try {
      await loadColumns();
    } catch (error) {
      return wm.fill(main, wm.trouble(error));
    }
    openTab(state.tab);
    learn().catch(wm.sayError);
  };
  begin();
  addEventListener("popstate", () => {
    state = read();
    filters.set(state);
    change({});
    openTab(state.tab);
  });
  wm.watch(async () => {
    try {
      await loadColumns();
    } catch {
      return; // the next change tries again
    }
    for (const name of Object.keys(views)) if (name !== "runs" || state.tab !== "runs") stale.add(name);
    if (state.tab !== "runs") return show();
    if (state.group.length) await showGroups();
    else if (shownColumns().join() === shownNames.join()) table.refresh();
    else showRuns();
    curves.refresh();
  });
})();
