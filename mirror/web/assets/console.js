// The console of a run: any number of lines by virtual scrolling, search, following the end of a running run.
"use strict";

(() => {
  const { el, fill } = wm;
  const HEIGHT = 19; // pixels of a line, as in detail.css
  const TALLEST = 8e6; // browsers draw nothing beyond some millions of pixels: longer consoles scroll in proportion
  const CHUNK = 1000, KEPT = 40; // lines of a request; requests whose lines are kept
  const LONGEST = 4000; // characters of a line that are drawn

  // Fills a place with the console of a run; returns `refresh`, for when there may be more lines.
  wm.console = (host, { run, running }) => {
    const chunks = new Map(), asked = new Map();
    let count = 0; // lines that there are
    let first = 0; // the line at the top, in fractions
    let put = 0; // the place of the scroll bar that was set by us
    let target = null, wanted = "", searching = null;

    const check = (label, checked, onchange) => {
      const input = el("input", { type: "checkbox", checked, onchange });
      return [input, el("label", { class: "check" }, input, label)];
    };
    const [times, timesBox] = check("Times", false, () => draw());
    const [follow, followBox] = check("Follow the end", running && !wm.view.get("line"), () => follow.checked && go(count));
    const told = el("span", { class: "told", role: "status" });
    const field = el("input", { type: "search", class: "filter", placeholder: "Search, Enter for the next", "aria-label": "Search in the console", spellcheck: "false" });
    const button = (text, label, onclick) => el("button", { type: "button", "aria-label": label, title: label, onclick }, text);
    const rows = el("div", { class: "lines" }), spacer = el("div", {}, rows);
    const port = el("div", { class: "console", role: "region", tabindex: "0", "aria-label": "Console" }, spacer);
    fill(host, el("div", { class: "bar" }, field, button("↑", "Previous match", () => search(-1)), button("↓", "Next match", () => search(1)), told,
      el("span", { class: "push" }), timesBox, followBox, button("⤒", "To the start", () => go(0)), button("⤓", "To the end", () => go(count))), port);

    const seen = () => Math.max(1, port.clientHeight / HEIGHT);
    const last = () => Math.max(0, count - seen());
    const tall = () => Math.min(TALLEST, count * HEIGHT);
    const isLong = () => count * HEIGHT > TALLEST;
    const way = () => Math.max(1, tall() - port.clientHeight); // pixels that the scroll bar can go

    const load = (place) => {
      if (chunks.has(place)) return chunks.get(place);
      if (!asked.has(place)) {
        asked.set(place, wm.get("console", { run, start: place * CHUNK, stop: (place + 1) * CHUNK }).then((answer) => {
          count = answer.count;
          chunks.set(place, answer.lines);
          if (chunks.size > KEPT) chunks.delete(chunks.keys().next().value);
          return answer.lines;
        }).finally(() => asked.delete(place)));
      }
      return asked.get(place);
    };
    const placeOf = (at) => Math.floor(at / CHUNK);
    const line = (at) => chunks.get(placeOf(at))?.[at % CHUNK];

    const drawLine = (at, ground) => {
      const one = line(at), address = new URL(location.href);
      address.searchParams.set("line", at + 1);
      return el("div", { class: `line ${one?.level || ""} ${at === target ? "target" : ""}` },
        el("a", { class: "number", href: address.href, tabindex: "-1", onclick: (event) => { event.preventDefault(); mark(at); } }, at + 1),
        times.checked ? el("time", {}, wm.time(one?.at)) : null,
        one?.label ? el("span", { class: "source" }, one.label) : null,
        el("span", { class: "text" }, one ? wm.terminalLine(one.text.slice(0, LONGEST), ground, wanted) : "…", one?.text.length > LONGEST ? " … cut here" : null));
    };
    const draw = () => {
      const from = Math.floor(first), to = Math.min(count, Math.ceil(first + seen()) + 1);
      const ground = getComputedStyle(port).backgroundColor.match(/[\d.]+/g).slice(0, 3).map(Number);
      spacer.style.height = `${tall()}px`;
      port.style.setProperty("--digits", `${String(count).length}ch`);
      rows.style.transform = `translateY(${(from - first) * HEIGHT}px)`;
      fill(rows, Array.from({ length: Math.max(0, to - from) }, (_, place) => drawLine(from + place, ground)));
      const missing = [placeOf(from), placeOf(Math.max(from, to - 1))].filter((place) => !chunks.has(place));
      if (missing.length) Promise.all(missing.map(load)).then(drawSoon, wm.sayError);
    };
    let frame = 0;
    const drawSoon = () => { frame ||= requestAnimationFrame(() => { frame = 0; draw(); }); };

    const go = (to) => {
      first = Math.max(0, Math.min(last(), to));
      if (first < last() - 1) follow.checked = false;
      spacer.style.height = `${tall()}px`;
      port.scrollTop = (first / Math.max(1, last())) * way();
      put = port.scrollTop;
      draw();
    };
    const mark = (at) => {
      target = at;
      wm.view.set({ line: at + 1 });
      if (at < first || at > first + seen() - 2) go(at - seen() / 3);
      else draw();
    };
    port.addEventListener("scroll", () => {
      if (Math.abs(port.scrollTop - put) > 1) {
        put = port.scrollTop;
        first = (put / way()) * last();
        if (first < last() - 1) follow.checked = false;
      }
      drawSoon();
    }, { passive: true });
    // In proportion, one turn of the wheel would pass over thousands of lines: it moves by lines instead.
    port.addEventListener("wheel", (event) => {
      if (!isLong() || event.ctrlKey || !event.deltaY) return;
      event.preventDefault();
      go(first + event.deltaY / (event.deltaMode ? 1 : HEIGHT));
    }, { passive: false });
    port.addEventListener("keydown", (event) => {
      const to = { ArrowDown: first + 1, ArrowUp: first - 1, PageDown: first + seen() - 1, PageUp: first - seen() + 1, Home: 0, End: count }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      go(to);
    });

    // The next line, from the marked one on, that has the text; loads what is on the way and says how far it is.
    const search = async (step) => {
      wanted = field.value.toLowerCase();
      if (!wanted) return;
      const mine = (searching = Symbol("search"));
      const from = target ?? Math.floor(first) - step;
      follow.checked = false;
      for (let passed = 1; passed <= count; passed++) {
        const at = (((from + step * passed) % count) + count) % count;
        if (!line(at)) {
          told.textContent = `searching line ${wm.number(at + 1)} …`;
          await load(placeOf(at));
          if (searching !== mine) return;
        }
        if (wm.plainLine(line(at)?.text || "").toLowerCase().includes(wanted)) {
          told.textContent = `line ${wm.number(at + 1)} of ${wm.number(count)}`;
          return mark(at);
        }
      }
      told.textContent = "not found";
      draw();
    };
    field.addEventListener("keydown", (event) => { if (event.key === "Enter") search(event.shiftKey ? -1 : 1).catch(wm.sayError); });
    field.addEventListener("input", () => {
      searching = null;
      wanted = field.value.toLowerCase();
      sayCount();
      draw();
    });

    const sayCount = () => {
      told.textContent = wm.plural(count, "line");
      port.setAttribute("aria-label", `Console, ${wm.plural(count, "line")}`);
    };
    const refresh = async () => {
      const end = placeOf(Math.max(0, count - 1));
      chunks.delete(end);
      await load(end);
      sayCount();
      if (follow.checked) go(count);
      else drawSoon();
    };
    const begin = async () => {
      await load(0);
      if (!count) return fill(host, wm.nothing("No console output is held for this run."));
      sayCount();
      const at = Number(wm.view.get("line")) - 1;
      if (at >= 0) mark(Math.min(at, count - 1));
      else go(follow.checked ? count : 0);
    };
    new ResizeObserver(drawSoon).observe(port);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawSoon);
    begin().catch((error) => fill(host, wm.trouble(error)));
    return { refresh: () => refresh().catch(wm.sayError) };
  };
})();
