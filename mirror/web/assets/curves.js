// The curves of runs or of groups: a panel for each key, in sections, asked for when it is seen.
"use strict";

(() => {
  const FIRST = 24; // so many panels are open at first, and so many more with each "more"
  const AT_ONCE = 4; // questions at the server at a time
  const KEPT = 60; // answers kept of panels that are out of sight
  const AXES = {
    _step: { label: "Step", kind: "number" }, _runtime: { label: "Relative time", kind: "duration" },
    _timestamp: { label: "Wall time", kind: "time" }
  };
  const PLAIN = "Metrics";

  // Runs functions a few at a time, the latest first: what came into sight last is what is looked at.
  let running = 0;
  const waiting = [];
  const inTurn = (work, signal) => new Promise((done, failed) => {
    waiting.push({ work, signal, done, failed });
    next();
  });
  const next = () => {
    while (running < AT_ONCE && waiting.length) {
      const { work, signal, done, failed } = waiting.pop();
      if (signal.aborted) {
        failed(new DOMException("not seen any more", "AbortError"));
        continue;
      }
      running++;
      work().then(done, failed).finally(() => {
        running--;
        next();
      });
    }
  };

  // An exponential mean that weighs by distance in x, so that a reduced line is smoothed as the whole one.
  wm.smooth = (x, y, amount) => {
    const span = Math.abs(x[x.length - 1] - x[0]) || 1, factor = Math.min(Math.sqrt(amount), 0.999);
    let sum = 0, weight = 0;
    return y.map((value, place) => {
      if (value === null) return null;
      const kept = place ? factor ** Math.max((Math.abs(x[place] - x[place - 1]) / span) * 1000, 1e-3) : 0;
      sum = sum * kept + value;
      weight = weight * kept + 1;
      return sum / weight;
    });
  };

  // The section of a key is what stands before its first slash; layer0/… to layer29/… share "layer*".
  const sectionNames = (keys) => {
    const prefix = (key) => (key.indexOf("/", 1) > 0 ? key.slice(0, key.indexOf("/", 1)) : PLAIN),
      stem = (name) => name.replace(/\d+/g, "*");
    const alike = new Map();
    for (const name of new Set(keys.map(prefix))) alike.set(stem(name), (alike.get(stem(name)) || 0) + 1);
    return (key) => (alike.get(stem(prefix(key))) > 3 ? stem(prefix(key)) : prefix(key));
  };

  const icon = (path, kind) => wm.el("svg:svg", {
    class: kind, width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true"
  },
    wm.el("svg:path", { d: path, fill: "none", stroke: "currentColor", "stroke-width": 1.4 }));
  const ENLARGE = "M7 1.5h3.5V5M5 10.5H1.5V7M10.5 1.5 7 5M1.5 10.5 5 7", LESS = "M2 6h8", TURN = "M4 2 8 6 4 10";

  // Panels of curves.
  //   project: "team/vision"; runs: [id | {id, name, colour, href}] to begin with
  //   or run: "team/vision/id" and system: [keys], for what its machine was like
  //   note: () => element at the head, of who owns what is drawn
  // Returns {show({runs, groups}), refresh(), emphasise(id)}; groups: [{name, ids, colour}].
  wm.curves = (host, options) => {
    const ofMachine = Boolean(options.system);
    const sync = "curves" + (wm.curves.count = (wm.curves.count || 0) + 1);
    let runs = [], groups = null, keys = [], panels = new Map(), opened = new Map(), more = new Map(), emphasised = null,
      asked = null, enlarged = null;
    const view = {
      search: wm.view.get("keys"), x: wm.view.get("x", "_step"),
      smooth: Math.max(0, Math.min(0.99, Number(wm.view.get("smooth", "0")) || 0)), log: wm.view.get("logy") === "1",
      logX: wm.view.get("logx") === "1", points: wm.view.get("points") === "1"
    };

    // The bar
    const keep = () => wm.view.set({
      keys: view.search, x: view.x === "_step" ? null : view.x, smooth: view.smooth || null, logy: view.log ? 1 : null,
      logx: view.logX ? 1 : null, points: view.points ? 1 : null
    });
    const toggle = (label, name, title, changed) => {
      const button = wm.el("button", { type: "button", "aria-pressed": String(view[name]), title, onclick: () => {
        view[name] = !view[name];
        button.setAttribute("aria-pressed", String(view[name]));
        keep();
        changed();
      } }, label);
      return button;
    };
    const redrawAll = () => {
      for (const panel of panels.values()) panel.draw();
      enlarged?.draw();
    };
    const askAll = () => {
      for (const panel of panels.values()) panel.forget();
      enlarged?.forget();
    };
    const searched = wm.later(120, () => {
      keep();
      layOut();
    });
    const searchLabel = { placeholder: ofMachine ? "Find a measure…" : "Find a metric…", "aria-label": "Find metrics by name" };
    const search = wm.el("input", { type: "search", ...searchLabel, value: view.search, oninput: (event) => {
      view.search = event.target.value;
      searched();
    } });
    const pickX = (menu) => wm.pick(menu, {
      items: [
        ...Object.entries(AXES).map(([name, { label }]) => ({ name, label })),
        ...keys.filter(({ key }) => !(key in AXES)).map(({ key }) => ({ name: key, kind: "metric" })),
      ],
      chosen: new Set([view.x]),
      onpick: (name) => {
        view.x = name;
        keep();
        showX();
        askAll();
      },
    });
    const xSelect = wm.menuButton([], "Horizontal axis", pickX);
    const showX = () => wm.fill(xSelect,
      wm.el("span", { class: "soft" }, "x"), wm.el("bdi", { class: "cut" }, AXES[view.x]?.label || view.x));
    const told = wm.el("output", {}, view.smooth ? String(view.smooth) : "0");
    const smoothed = wm.later(30, () => {
      keep();
      redrawAll();
    });
    const extent = { type: "range", min: 0, max: 0.99, step: 0.01 };
    const smooth = wm.el("input", { ...extent, value: view.smooth, "aria-label": "Smoothing", oninput: (event) => {
      view.smooth = Number(event.target.value);
      told.textContent = String(view.smooth);
      smoothed();
    } });
    const bar = wm.el("div", { class: "curves-bar" }, search,
      ofMachine || wm.isStatic ? null : xSelect,
      wm.el("label", { class: "inline" }, "Smooth", smooth, told),
      wm.el("span", { class: "row" },
        toggle("log y", "log", "Logarithmic vertical axis", redrawAll),
        ofMachine ? null : toggle("log x", "logX", "Logarithmic horizontal axis", redrawAll),
        toggle("points", "points", "Also draw the points", redrawAll)));
    showX();
    const body = wm.el("div", {});
    const place = wm.el("div", { class: "curves" }, bar, body);
    host.append(place);

    // What the axis of an answer is
    const axis = () => {
      const known = ofMachine ? AXES._runtime : AXES[view.x] || { label: view.x, kind: "number" };
      return { name: known.label, kind: view.logX && known.kind !== "time" && !ofMachine ? "log" : known.kind };
    };
    const question = (key, { from, to, points }) => {
      if (ofMachine) return ["system", { run: options.run, key, from, to, points }];
      const whose = groups
        ? { groups: Object.fromEntries(groups.map(({ name, ids }) => [name, ids])) }
        : { runs: runs.map(({ id }) => id) };
      return ["curves", { project: options.project, key, x: view.x, points, from, to, ...whose }];
    };
    const linesOf = (answer) => {
      const byName = new Map((groups || runs).map((each) => [groups ? each.name : each.id, each]));
      return answer.lines.flatMap((line) => {
        const id = line.group ?? line.run ?? "",
          one = byName.get(id) || (ofMachine ? { name: answer.key, colour: wm.colour(answer.key) } : null);
        if (!one) return [];
        const y = line.mean || line.y, soft = view.smooth > 0 && y.length > 2;
        const about = {
          id, name: line.group === undefined ? one.name : `${one.name || "none"} (${wm.plural(line.runs, "run")})`,
          colour: one.colour, href: one.href, x: line.x, y: soft ? wm.smooth(line.x, y, view.smooth) : y
        };
        if (line.low) return {
          ...about,
          ...(soft ? {
            low: wm.smooth(line.x, line.low, view.smooth), high: wm.smooth(line.x, line.high, view.smooth)
          } : { low: line.low, high: line.high })
        };
        return soft ? { ...about, raw: y } : about;
      });
    };
    const notes = (answer) => {
      const count = answer.lines.reduce((sum, line) => sum + (line.count || 0), 0),
        drawn = answer.lines.reduce((sum, line) => sum + line.x.length, 0);
      const odd = answer.lines.reduce((sum, line) => sum + (line.odd || 0), 0), all = (groups || runs).length;
      return [
        !ofMachine && answer.lines.length < all ? `${answer.lines.length} of ${wm.plural(all, groups ? "group" : "run")}` : null,
        answer.lines.some((line) => line.reduced) ? `${wm.number(drawn)} of ${wm.number(count)} points` : null,
        odd ? `${wm.plural(odd, "NaN or infinite value")} left out` : null,
      ].filter(Boolean);
    };

    const tellNotes = (note, said) => {
      note.textContent = said.join(" · ");
      note.title = note.textContent + (note.textContent.includes("points") ? "; the lowest and the highest of each stretch are kept" : "");
    };

    // A chart of a key, with its question and its answer. `head` is told of what is drawn.
    const figure = (key, spot, { height, points, head }) => {
      let chart = null, answer = null, etag = null, control = null, stale = true, zoom = null;
      const drawn = () => (groups ? wm.plural(groups.length, "group") : wm.plural(ofMachine ? 1 : runs.length, "run"));
      const label = () => `${key}: ${drawn()} by ${axis().name}`;
      const draw = () => {
        if (!answer || !self.seen) return;
        const given = {
          label: label(), lines: linesOf(answer), x: axis(), y: { log: view.log }, points: view.points, zoom,
          sync: sync + view.x
        };
        if (chart) chart.update(given);
        else {
          wm.fill(spot);
          chart = wm.chart(spot, { ...given, height, onzoom: (from, to) => {
            zoom = from === null ? null : [from, to];
            load();
          } });
          chart.emphasise(emphasised);
        }
        head({ notes: notes(answer), zoom, lines: given.lines });
      };
      const load = async () => {
        control?.abort();
        control = new AbortController();
        const { signal } = control;
        stale = false;
        try {
          const [name, parameters] = question(key, { points, from: zoom?.[0], to: zoom?.[1] });
          const got = await inTurn(() => wm.get(name, parameters, { signal }), signal);
          if (signal.aborted) return;
          const mark = got.etag && got.etag + JSON.stringify(parameters);
          if (mark && mark === etag && chart) return;
          [answer, etag] = [got, mark];
          draw();
        } catch (error) {
          if (signal.aborted) return;
          chart?.destroy();
          chart = null;
          wm.fill(spot, wm.trouble(error));
        }
      };
      const self = {
        seen: false, draw, spot,
        reset: () => {
          zoom = null;
          chart?.update({ zoom: null });
          load();
        },
        // What was drawn may have changed: asks again, now or when it is seen.
        forget: (keepZoom) => {
          if (!keepZoom) zoom = null;
          stale = true;
          if (self.seen) load();
        },
        see: (seen) => {
          self.seen = seen;
          if (seen && !chart && answer) draw();
          if (seen && stale) load();
          if (seen) return;
          if (!answer) stale = true;
          control?.abort();
          chart?.destroy();
          chart = null;
        },
        drop: () => {
          answer = etag = null;
          stale = true;
        },
        emphasise: (id) => chart?.emphasise(id),
        get held() { return Boolean(answer); },
      };
      return self;
    };

    const enlarge = (key) => {
      const spot = wm.el("div", { class: "panel-body" }), note = wm.el("span", { class: "note cut" }),
        table = wm.el("div", { class: "wide" });
      const back = wm.el("button", { type: "button", hidden: true, onclick: () => enlarged.reset() }, "Whole range");
      const dialog = wm.el("dialog", { class: "large", "aria-label": key, onclose: () => {
        enlarged.see(false);
        enlarged = null;
        dialog.remove();
      } }, wm.el("div", { class: "panel-head" },
        wm.el("h2", { class: "cut" }, wm.el("bdi", {}, key)), note, back,
        wm.el("button", { type: "button", onclick: () => dialog.close() }, "Close")), spot, table);
      document.body.append(dialog);
      dialog.showModal();
      const fact = (value) => wm.el("td", { class: "number" }, wm.number(value));
      const height = Math.max(240, Math.min(560, innerHeight - 330));
      enlarged = figure(key, spot, { height, points: 1000, head: ({ notes: said, zoom, lines }) => {
        tellNotes(note, said);
        back.hidden = !zoom;
        const rows = lines.slice(0, 200).map((line) => {
          const values = (line.raw || line.y).filter((value) => value !== null);
          const name = wm.el("bdi", { class: "cut", title: line.name }, line.name);
          return wm.el("tr", {}, wm.el("th", { scope: "row" },
            wm.el("span", { class: "key" },
              wm.el("span", { class: "swatch", style: { "--own": line.colour } }),
              line.href ? wm.el("a", { class: "cut", href: line.href }, name) : name)),
            fact(values[values.length - 1]),
            fact(values.reduce((low, value) => Math.min(low, value), Infinity)),
            fact(values.reduce((high, value) => Math.max(high, value), -Infinity)));
        });
        wm.fill(table,
          wm.el("table", { class: "list" },
            wm.el("thead", {},
              wm.el("tr", {},
                wm.el("th", { scope: "col" }, groups ? "Group" : "Run"),
                ["Last", "Lowest", "Highest"].map((text) => wm.el("th", { scope: "col", class: "number" }, text)))),
            wm.el("tbody", {}, rows)));
      } });
      enlarged.see(true);
    };

    const observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) panels.get(target.dataset.key)?.see(isIntersecting);
      const idle = [...panels.values()].filter((panel) => panel.held && !panel.seen);
      for (const panel of idle.slice(0, Math.max(0, idle.length - KEPT))) panel.drop();
    }, { rootMargin: "160px" });

    const panelOf = (key) => {
      if (panels.has(key)) return panels.get(key);
      const note = wm.el("span", { class: "note cut" });
      const spot = wm.el("div", { class: "panel-body" });
      const back = wm.el("button",
        {
          type: "button", class: "plain on", hidden: true, title: "Show the whole range again",
          "aria-label": "Show the whole range", onclick: () => panel.reset()
        },
        icon(LESS));
      const panel = figure(key, spot, { height: 190, points: 500, head: ({ notes: said, zoom }) => {
        tellNotes(note, said);
        back.hidden = !zoom;
      } });
      panel.element = wm.el("article", { class: "panel", dataset: { key } }, wm.el("div", { class: "panel-head" },
        wm.el("h3", { class: "cut", title: key }, wm.el("bdi", {}, key)), note, back,
        wm.el("button",
          { type: "button", class: "plain", title: "Enlarge", "aria-label": `Enlarge ${key}`, onclick: () => enlarge(key) },
          icon(ENLARGE))), spot);
      panels.set(key, panel);
      observer.observe(panel.element);
      return panel;
    };

    // The sections: those beyond the first panels are folded, and each is opened a piece at a time.
    const layOut = () => {
      const words = view.search.toLowerCase().split(/\s+/).filter(Boolean);
      const found = keys.filter(({ key }) => words.every((word) => key.toLowerCase().includes(word)));
      const sections = new Map(), nameOf = sectionNames(found.map(({ key }) => key));
      const shared = Math.max(0, ...found.slice(0, 5000).map((each) => each.runs || 0)) / 2, common = new Set();
      for (const { key, runs: having } of found) {
        const name = nameOf(key);
        if (!sections.has(name)) sections.set(name, []);
        sections.get(name).push(key);
        if ((having || 0) >= shared) common.add(name);
      }
      // What most of the runs have comes before what few have.
      const ordered = [...sections].sort(([one], [other]) => common.has(other) - common.has(one));
      let room = FIRST;
      const kept = new Set();
      const elements = ordered.map(([name, members], place) => {
        const isOpen = opened.get(name) ?? (place === 0 || room > 0);
        const count = isOpen ? Math.min(members.length, more.get(name) ?? Math.max(Math.min(room, FIRST), 6)) : 0;
        room -= count;
        const shown = members.slice(0, count);
        for (const key of shown) kept.add(key);
        const left = members.length - count;
        const extend = (by) => () => {
          more.set(name, count + by);
          layOut();
        };
        const heading = wm.el("button", { type: "button", "aria-expanded": String(isOpen), onclick: () => {
          opened.set(name, !isOpen);
          layOut();
        } }, icon(TURN, "turn"), wm.el("bdi", { class: "cut" }, name), wm.el("span", { class: "soft" },
          wm.number(members.length)));
        return wm.el("section", { class: "section" }, wm.el("h2", {}, heading),
          isOpen ? wm.el("div", { class: "panels" }, shown.map((key) => panelOf(key).element)) : null,
          isOpen && left > 0 ? wm.el("p", { class: "row soft" },
            `${count} of ${wm.plural(members.length, "panel")}`,
            wm.el("button", { type: "button", onclick: extend(FIRST) }, `${Math.min(FIRST, left)} more`),
            left > FIRST ? wm.el("button", { type: "button", onclick: extend(left) }, "All") : null) : null);
      });
      for (const [key, panel] of panels) {
        if (kept.has(key)) continue;
        observer.unobserve(panel.element);
        panel.see(false);
        panels.delete(key);
      }
      const focused = document.activeElement?.closest?.(".section") && document.activeElement.textContent;
      wm.fill(body, elements.length ? elements : wm.el("p", { class: "empty" }, nothing(words.length)));
      if (focused) [...body.querySelectorAll("h2 button")].find((button) => button.textContent === focused)?.focus();
    };
    const nothing = (isSearch) => {
      if (isSearch && keys.length) return "No metric has this in its name.";
      if (!ofMachine && !(groups || runs).length) return "Nothing is drawn: check runs in the table.";
      return ofMachine ? "Nothing of the machine was recorded." : "These runs have logged no numbers.";
    };

    const askKeys = async () => {
      asked?.abort();
      asked = new AbortController();
      const { signal } = asked;
      const ids = groups ? groups.flatMap((group) => group.ids) : runs.map(({ id }) => id);
      try {
        const found = ofMachine ? options.system.map((key) => ({ key })) : ids.length ? (await wm.get("keys",
          { project: options.project, runs: ids }, { signal })).keys : [];
        if (signal.aborted) return;
        const same = found.length === keys.length && found.every(({ key }, at) => key === keys[at].key);
        keys = found;
        if (!same || !body.children.length) layOut();
      } catch (error) {
        if (!signal.aborted) wm.fill(body, wm.trouble(error));
      }
    };

    const show = (what) => {
      groups = what.groups || null;
      runs = (what.runs || []).map((run) => (typeof run === "string" ? { id: run, name: run, colour: wm.colour(run) } : run));
      for (const panel of panels.values()) panel.forget(true);
      enlarged?.forget(true);
      askKeys();
    };
    show({ runs: options.runs || [] });
    return {
      show,
      refresh: () => {
        for (const panel of panels.values()) panel.forget(true);
        enlarged?.forget(true);
        askKeys();
      },
      emphasise: (id) => {
        emphasised = id;
        for (const panel of panels.values()) panel.emphasise(id);
      },
      element: place,
    };
  };
})();
