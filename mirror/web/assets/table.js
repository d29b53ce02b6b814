// Tables of any length: only the rows that are seen are in the document, and are asked for as they are.
"use strict";

(() => {
  const WINDOW = 100; // rows of one question
  const KEPT = 50; // windows kept: 5,000 rows
  const ORDERS = { "-": "descending", "+": "ascending", null: "none" };
  const AROUND = 10; // rows drawn above and below what is seen

  const pen = document.createElement("canvas").getContext("2d");
  const byValue = (left, right) => {
    if (left === null || right === null) return (left === null) - (right === null);
    return typeof left === "number" && typeof right === "number" ? left - right : wm.natural(String(left), String(right));
  };
  const plainText = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

  // A cell as it is unless the column says otherwise: numbers short with the whole value in the title, texts cut.
  wm.cell = (value) => {
    if (value === null || value === undefined) return wm.el("span", { class: "none", "aria-label": "none" }, "–");
    if (typeof value === "number") return wm.el("span", { class: "cut", title: String(value) }, wm.number(value));
    const text = plainText(value);
    return wm.el("bdi", { class: "cut", title: text.slice(0, 2000) }, text.slice(0, 400));
  };

  // A table.
  //   label; columns: [{name, label, align: "right", width, sortable, cell(value, row), title}]
  //   rows: [[…]] in memory, or async (offset, limit, signal) → {total, rows}; cells(row) → values in order of columns
  //   sort: "-name"; onsort("-name") (else rows in memory sort themselves, with `sortable`); rowHeight: 30
  //   select: {has(row), colour(row), toggle(rows, on), label(row)}; href(row); onhover(row | null)
  //   empty: a text, or a function that returns an element
  // Returns {update(options), refresh(), paint(), element, total}.
  wm.table = (host, options) => {
    let settings = { rowHeight: 30, label: "Rows", ...options };
    let inMemory = null, total = 0, windows = new Map(), asked = new Map(), shown = new Map(), here = -1, anchor = -1,
      widths = new Map(), fitted = false, round = 0;

    const head = wm.el("div", { class: "heads", role: "rowgroup" }),
      lines = wm.el("div", { class: "lines", role: "rowgroup" });
    const grid = wm.el("div", { class: "grid", role: "grid", tabindex: 0, "aria-label": settings.label }, head, lines);
    const said = wm.el("div", {});
    grid.append(said);
    host.append(grid);

    const rowAt = (index) => (inMemory ? inMemory[index] : windows.get(Math.floor(index / WINDOW))?.[index % WINDOW]);
    const cellsOf = (row) => (settings.cells ? settings.cells(row) : row.cells || row);
    const classOf = (column, place) => [
      place === 0 ? "first" : "", column.align === "right" ? "right" : ""
    ].join(" ").trim() || null;

    // Widths
    const widthOf = (column) => widths.get(column.name) ?? column.width ?? 120;
    const layOut = () => grid.style.setProperty("--columns",
      settings.columns.map((column) => widthOf(column) + "px").join(" ") + " 1fr");
    const fit = (place, sure) => {
      const column = settings.columns[place];
      pen.font = "13px " + getComputedStyle(grid).fontFamily;
      let most = pen.measureText(column.label ?? column.name).width * 0.95 + 14;
      for (const [index] of shown) {
        const row = rowAt(index), value = row ? cellsOf(row)[place] : null;
        if (value === null || value === undefined) continue;
        const text = typeof value === "number" ? wm.number(value) : column.measure ? column.measure(value) : plainText(value).slice(0, 200);
        most = Math.max(most, pen.measureText(text).width);
      }
      widths.set(column.name,
        Math.round(Math.max(56, Math.min(sure ? 900 : 260, most + 24 + (place === 0 && settings.select ? 24 : 0)))));
    };
    const fitAll = () => {
      if (fitted || ![...shown.keys()].some(rowAt)) return;
      fitted = true;
      settings.columns.forEach((column, place) => column.width || widths.has(column.name) || fit(place));
      layOut();
    };
    const drag = (event, place) => {
      event.preventDefault();
      const { name } = settings.columns[place], start = event.clientX, before = widthOf(settings.columns[place]),
        grip = event.target;
      grip.setPointerCapture(event.pointerId);
      const move = (moved) => {
        widths.set(name, Math.max(44, Math.round(before + moved.clientX - start)));
        layOut();
      };
      grip.addEventListener("pointermove", move);
      grip.addEventListener("lostpointercapture", () => grip.removeEventListener("pointermove", move), { once: true });
    };

    // The head
    const sortBy = (column) => {
      const now = (settings.sort || "").slice(1) === column.name ? settings.sort[0] : null;
      const next = (now ? (now === "-" ? "+" : "-") : column.first || "-") + column.name;
      settings.sort = next;
      if (settings.onsort) settings.onsort(next);
      else sortMemory();
      drawHead();
      start();
    };
    const sortMemory = () => {
      const place = settings.columns.findIndex((column) => column.name === (settings.sort || "").slice(1));
      if (place < 0) return;
      const sign = settings.sort[0] === "-" ? -1 : 1;
      inMemory = [...settings.rows].sort((left, right) => {
        const [one, other] = [cellsOf(left)[place] ?? null, cellsOf(right)[place] ?? null];
        return one === null || other === null ? byValue(one, other) : sign * byValue(one, other);
      });
    };
    const drawHead = () => {
      const cells = settings.columns.map((column, place) => {
        const sorted = (settings.sort || "").slice(1) === column.name ? settings.sort[0] : null;
        const can = column.sortable ?? (Boolean(settings.onsort) || settings.sortable);
        const resize = (event) => {
          if (!event.shiftKey || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
          widths.set(column.name, Math.max(44, widthOf(column) + (event.key === "ArrowLeft" ? -16 : 16)));
          layOut();
          event.preventDefault();
        };
        const button = wm.el("button", {
          type: "button", disabled: !can, title: column.title ?? column.name, tabindex: can ? null : -1,
          onclick: () => sortBy(column), onkeydown: resize,
        }, wm.el("bdi", { class: "cut" }, column.label ?? column.name), sorted ? wm.el("span", { "aria-hidden": "true" }, sorted === "-" ? "↓" : "↑") : null);
        const grip = wm.el("span", { class: "grip", "aria-hidden": "true", onpointerdown: (event) => drag(event, place), ondblclick: () => {
          fit(place, true);
          layOut();
        } });
        return wm.el("div",
          {
            role: "columnheader", "aria-colindex": place + 1, "aria-sort": can ? ORDERS[sorted] : null,
            class: classOf(column, place)
          },
          button, grip);
      });
      wm.fill(head, wm.el("div", { class: "head", role: "row", "aria-rowindex": 1 }, cells));
      grid.setAttribute("aria-colcount", settings.columns.length);
    };

    // The rows
    const identifier = "grid" + (wm.table.count = (wm.table.count || 0) + 1);
    const drawLine = (index) => {
      const row = rowAt(index);
      const line = wm.el("div",
        {
          class: "line", role: "row", id: `${identifier}-${index}`, "aria-rowindex": index + 2,
          style: { top: index * settings.rowHeight + "px", height: settings.rowHeight + "px" }
        });
      if (index === here) line.classList.add("here");
      if (!row) {
        line.append(...settings.columns.map((column, place) => wm.el("div",
          { role: "gridcell", class: place ? null : "first" }, wm.el("span", { class: "wait" }))));
        return line;
      }
      if (row.gone) line.classList.add("gone");
      const values = cellsOf(row);
      line.append(...settings.columns.map((column, place) => {
        const value = values[place] ?? null, content = column.cell ? column.cell(value, row) : wm.cell(value);
        return wm.el("div", {
          role: place ? "gridcell" : "rowheader", "aria-colindex": place + 1, class: classOf(column, place)
        },
          place === 0 && settings.select ? box(index, row) : null, content);
      }));
      if (settings.onhover) line.addEventListener("pointerenter", () => settings.onhover(row));
      return line;
    };
    const box = (index, row) => wm.el("input", {
      type: "checkbox", class: "draw", tabindex: -1, checked: settings.select.has(row),
      "aria-label": settings.select.label(row), style: { "--own": settings.select.colour(row) },
      onclick: (event) => {
        event.stopPropagation();
        toggle(index, event.target.checked, event.shiftKey);
        grid.focus({ preventScroll: true });
      },
    });
    // Checks or unchecks a row; with shift all from the last one on.
    const toggle = (index, on, through) => {
      const [from, to] = through && anchor >= 0 ? [anchor, index].sort((left, right) => left - right) : [index, index];
      anchor = here = index;
      const rows = [];
      for (let place = from; place <= to; place++) if (rowAt(place)) rows.push(rowAt(place));
      settings.select.toggle(rows, on);
      paint();
    };

    const bounds = () => {
      const first = Math.floor(grid.scrollTop / settings.rowHeight),
        count = Math.ceil(grid.clientHeight / settings.rowHeight);
      return [Math.max(0, first - AROUND), Math.min(total, first + count + AROUND)];
    };
    // Brings into the document what is seen, and takes out what is not.
    const show = () => {
      const [from, to] = bounds();
      for (const [index, { line }] of shown) {
        if (index >= from && index < to) continue;
        line.remove();
        shown.delete(index);
      }
      for (let index = from; index < to; index++) {
        const row = rowAt(index), before = shown.get(index);
        if (before && before.row === row) continue;
        const line = drawLine(index);
        if (before) before.line.replaceWith(line);
        else lines.append(line);
        shown.set(index, { line, row });
      }
      fitAll();
    };
    const paint = () => {
      for (const [index, { line }] of shown) {
        const next = drawLine(index);
        line.replaceWith(next);
        shown.set(index, { line: next, row: rowAt(index) });
      }
    };

    const setTotal = (count) => {
      total = count;
      lines.style.height = total * settings.rowHeight + "px";
      grid.setAttribute("aria-rowcount", total + 1);
      wm.fill(said,
        total ? null : typeof settings.empty === "function" ? settings.empty() : wm.el("p", { class: "empty" },
          settings.empty || "No rows"));
    };

    // Asks for the windows that are seen and not there; gives up those that are not seen any more.
    const askSeen = (again) => {
      if (inMemory) return;
      const [from, to] = bounds(), needed = new Set();
      for (let place = Math.floor(from / WINDOW); place <= Math.floor(Math.max(from, to - 1) / WINDOW); place++) needed.add(place);
      for (const [place, control] of asked) {
        if (needed.has(place) && !again) continue;
        control.abort();
        asked.delete(place);
      }
      for (const place of needed) if (again || (!windows.has(place) && !asked.has(place))) ask(place);
    };
    const ask = async (place) => {
      const control = new AbortController(), mine = round;
      asked.set(place, control);
      try {
        const answer = await settings.rows(place * WINDOW, WINDOW, control.signal);
        if (mine !== round || control.signal.aborted) return;
        const before = windows.get(place) || [];
        windows.delete(place);
        const same = (row, at) => before[at] && JSON.stringify(before[at]) === JSON.stringify(row);
        windows.set(place, answer.rows.map((row, at) => (same(row, at) ? before[at] : row))); // what is as before is not drawn anew
        if (windows.size > KEPT) windows.delete(windows.keys().next().value);
        if (answer.total !== total || !total) setTotal(answer.total);
        grid.classList.remove("loading");
        show();
      } catch (error) {
        if (control.signal.aborted || mine !== round) return;
        grid.classList.remove("loading");
        if (!windows.size) setTotal(0);
        wm.fill(said, wm.trouble(error));
        settings.onerror?.(error);
      } finally {
        if (asked.get(place) === control) asked.delete(place);
      }
    };
    const askLater = wm.later(60, askSeen);

    // From the first row on; what was there stays until the answer is.
    const start = (again) => {
      round++;
      for (const control of asked.values()) control.abort();
      asked.clear();
      if (!again) {
        grid.scrollTop = 0;
        here = anchor = -1;
        grid.removeAttribute("aria-activedescendant");
      }
      if (inMemory) {
        setTotal(inMemory.length);
        paint();
        show();
        return;
      }
      windows = new Map();
      if (!total) show();
      grid.classList.add("loading");
      ask(0);
    };
    const refresh = () => {
      const [from, to] = bounds(), first = Math.floor(from / WINDOW), last = Math.floor(Math.max(from, to - 1) / WINDOW);
      for (const place of [...windows.keys()]) if (place < first || place > last) windows.delete(place);
      askSeen(true);
    };

    const goTo = (index) => {
      here = Math.max(0, Math.min(total - 1, index));
      const top = here * settings.rowHeight, space = grid.clientHeight - 30 - settings.rowHeight;
      if (top < grid.scrollTop) grid.scrollTop = top;
      else if (top > grid.scrollTop + space) grid.scrollTop = top - space;
      show();
      for (const [place, { line }] of shown) line.classList.toggle("here", place === here);
      grid.setAttribute("aria-activedescendant", `${identifier}-${here}`);
      settings.onhover?.(rowAt(here) || null);
    };
    grid.addEventListener("keydown", (event) => {
      if (event.target !== grid || !total || event.metaKey || event.ctrlKey || event.altKey) return;
      const page = Math.max(1, Math.floor(grid.clientHeight / settings.rowHeight) - 2);
      const steps = {
        ArrowDown: here + 1, ArrowUp: here - 1, PageDown: here + page, PageUp: here - page, Home: 0, End: total - 1
      };
      const row = here >= 0 ? rowAt(here) : null;
      if (event.key in steps) goTo(steps[event.key]);
      else if (event.key === "ArrowRight" || event.key === "ArrowLeft") grid.scrollLeft += event.key === "ArrowRight" ? 80 : -80;
      else if (event.key === " " && row && settings.select) toggle(here, !settings.select.has(row), event.shiftKey);
      else if (event.key === "Enter" && row && settings.href?.(row)) location.assign(settings.href(row));
      else return;
      event.preventDefault();
    });
    grid.addEventListener("pointerleave", () => settings.onhover?.(null));
    let due = false;
    grid.addEventListener("scroll", () => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => {
        due = false;
        show();
        askLater();
      });
    }, { passive: true });
    new ResizeObserver(() => {
      show();
      askLater();
    }).observe(grid);

    const names = () => settings.columns.map((column) => column.name).join("\n");
    const update = (changes) => {
      const before = inMemory && names();
      settings = { ...settings, ...changes };
      inMemory = Array.isArray(settings.rows) ? settings.rows : null;
      if (inMemory && settings.sortable && settings.sort) sortMemory();
      if ("columns" in changes) fitted = false;
      if ("label" in changes) grid.setAttribute("aria-label", settings.label);
      layOut();
      drawHead();
      start(inMemory && names() === before);
    };
    update(options);
    return { element: grid, update, refresh, paint, get total() { return total; } };
  };
})();
