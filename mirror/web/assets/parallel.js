// Parallel coordinates: each run a line through its values; a stretch of an axis, when marked, leaves the runs in it.
"use strict";

(() => {
  const { surface, scale, range, theme, showTip, hideTip, entry } = wm.plot;
  const TOP = 34, BOTTOM = 12, SIDE = 64;

  // A chart of parallel coordinates.
  //   label, height; axes: [{name, kind: "number|log|time|category", names: [of a category]}]
  //   rows: [{name, colour, href, values: [in order of axes; null where it has none]}]; onbrush(brushes, rows within)
  //   brushes: a Map of axis name → [low, high]
  // Returns {update(options), destroy()}.
  wm.parallel = (host, options) => {
    let settings = { height: 420, brushes: new Map(), ...options }, scales = [], lines = [], here = null;

    const within = (row) => settings.axes.every(({ name }, place) => {
      const brush = settings.brushes.get(name), value = row.values[place];
      return !brush || (value !== null && value >= brush[0] && value <= brush[1]);
    });
    const left = (place, width) => (settings.axes.length < 2 ? width / 2 : SIDE + ((width - 2 * SIDE) * place) / (settings.axes.length - 1));

    const measure = (size) => {
      scales = settings.axes.map((axis, place) => {
        const log = axis.kind === "log";
        const span = axis.kind === "category" ? [-0.5, axis.names.length - 0.5] : range(
          settings.rows.map((row) => row.values[place]), log, 0.02
        );
        return scale(axis.kind, span, [size.height - BOTTOM, TOP], axis.names);
      });
      lines = settings.rows.map((row) => {
        const isShown = (value, place) => value !== null && (settings.axes[place].kind !== "log" || value > 0);
        const points = row.values.map((value, place) => (isShown(value, place) ? [left(place, size.width), scales[place].at(value)] : null));
        const path = new Path2D();
        let pen = false;
        for (const point of points) {
          if (point && pen) path.lineTo(...point);
          else if (point) path.moveTo(...point);
          pen = Boolean(point);
        }
        return { row, path, points };
      });
    };

    const draw = (context, size, ratio) => {
      measure(size);
      const colours = theme(), few = lines.length < 60;
      context.lineJoin = "round";
      context.lineWidth = 1;
      const inside = lines.filter(({ row }) => within(row));
      if (settings.brushes.size) {
        context.strokeStyle = colours.rule;
        for (const { path } of lines) context.stroke(path);
      }
      context.globalAlpha = few ? 0.85 : lines.length < 500 ? 0.55 : 0.35;
      context.lineWidth = few ? 1.6 : 1.1;
      for (const { row, path } of inside) {
        context.strokeStyle = row.colour;
        context.stroke(path);
      }
      context.globalAlpha = 1;
      context.font = colours.font;
      context.textBaseline = "middle";
      context.lineWidth = 1 / ratio;
      settings.axes.forEach((axis, place) => {
        const x = (Math.round(left(place, size.width) * ratio) + 0.5) / ratio,
          last = place === settings.axes.length - 1 && place > 0;
        context.strokeStyle = colours.edge;
        context.beginPath();
        context.moveTo(x, TOP);
        context.lineTo(x, size.height - BOTTOM);
        context.textAlign = last ? "right" : "left";
        for (const [value, text] of scales[place].ticks(Math.max(3, size.height / 60))) {
          const y = scales[place].at(value),
            short = text.length > 14 ? [...text.slice(0, 30)].slice(0, 13).join("") + "…" : text;
          context.moveTo(x - 3, y);
          context.lineTo(x + 3, y);
          context.lineWidth = 3;
          context.strokeStyle = colours.paper;
          context.strokeText(short, x + (last ? -7 : 7), y);
          context.fillStyle = colours.ink;
          context.fillText(short, x + (last ? -7 : 7), y);
          context.strokeStyle = colours.edge;
          context.lineWidth = 1 / ratio;
        }
        context.stroke();
        const brush = settings.brushes.get(axis.name);
        if (!brush) return;
        const [low, high] = brush.map((value) => Math.max(TOP, Math.min(size.height - BOTTOM, scales[place].at(value))));
        context.fillStyle = colours.line;
        context.globalAlpha = 0.28;
        context.fillRect(x - 8, high, 16, Math.max(2, low - high));
        context.globalAlpha = 1;
      });
      placeHandles(size);
    };
    const over = (context) => {
      if (!here) return hideTip();
      context.strokeStyle = theme().ink;
      context.lineWidth = 2.4;
      context.stroke(here.line.path);
      const box = plot.frame.getBoundingClientRect();
      showTip(plot.frame, box.left + here.px, box.top + here.py, entry(here.line.row.colour, here.line.row.name, "", true),
        settings.axes.map(({ name }, place) => {
          const value = here.line.row.values[place];
          return wm.el("div", { class: "told-line of-axis" },
            wm.el("bdi", { class: "cut at" }, name), wm.el("span", {}, value === null ? "–" : scales[place].text(value)));
        }));
    };

    const plot = surface(host, { label: settings.label, height: settings.height, draw, over });
    const { frame } = plot;
    frame.setAttribute("role", "group");
    frame.removeAttribute("tabindex");

    const brushTo = (name, brush) => {
      if (brush) settings.brushes.set(name, brush);
      else settings.brushes.delete(name);
      plot.redraw();
      const inside = settings.rows.filter(within);
      for (const handle of handles) say(handle, inside.length);
      settings.onbrush?.(settings.brushes, inside);
    };
    // Each axis is a slider of its own: dragging marks a stretch, the arrow keys move one of a fifth of the axis.
    let handles = [];
    const say = (handle, count) => {
      const place = Number(handle.dataset.place), brush = settings.brushes.get(settings.axes[place].name),
        axis = scales[place];
      const bottom = plot.size.height - BOTTOM;
      const part = brush && axis ? Math.round(((bottom - axis.at((brush[0] + brush[1]) / 2)) / (bottom - TOP)) * 100) : 50;
      handle.setAttribute("aria-valuenow", part);
      handle.setAttribute("aria-valuetext",
        brush && axis ? `${axis.text(brush[0])} to ${axis.text(brush[1])}, ${wm.plural(count, "run")} within` : "all values");
    };
    const makeHandles = () => {
      for (const handle of handles) handle.remove();
      handles = settings.axes.map(({ name }, place) => {
        const toValue = (pixel) => scales[place].back(Math.max(TOP, Math.min(plot.size.height - BOTTOM, pixel)));
        const toValues = (...pixels) => pixels.map(toValue).sort((first, second) => first - second);
        const handle = wm.el("div", {
          class: "axis", role: "slider", tabindex: 0, "aria-label": name, "aria-orientation": "vertical", "aria-valuemin": 0,
          "aria-valuemax": 100, dataset: { place }
        },
          wm.el("bdi", { class: "axis-name cut", title: name }, name));
        let start = null;
        handle.addEventListener("pointerdown", (event) => {
          start = event.clientY - frame.getBoundingClientRect().top;
          handle.setPointerCapture(event.pointerId);
        });
        handle.addEventListener("pointermove", (event) => {
          const now = event.clientY - frame.getBoundingClientRect().top;
          if (start !== null && Math.abs(now - start) > 3) brushTo(name, toValues(start, now));
        });
        handle.addEventListener("pointerup", (event) => {
          if (start !== null && Math.abs(event.clientY - frame.getBoundingClientRect().top - start) <= 3) brushTo(name, null);
          start = null;
        });
        handle.addEventListener("keydown", (event) => {
          if (event.key === "Escape" || event.key === "Delete") brushTo(name, null);
          else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
            const brush = settings.brushes.get(name), fifth = (plot.size.height - BOTTOM - TOP) / 5;
            const isUp = event.key === "ArrowUp", end = isUp ? plot.size.height - BOTTOM - fifth : TOP;
            const top = brush ? scales[place].at(brush[1]) + (isUp ? -fifth : fifth) / 2 : end;
            const bounded = Math.max(TOP, Math.min(plot.size.height - BOTTOM - fifth, top));
            brushTo(name, toValues(bounded, bounded + fifth));
          } else return;
          event.preventDefault();
        });
        return handle;
      });
      frame.append(...handles);
    };
    const placeHandles = (size) => {
      const inside = settings.rows.filter(within).length;
      handles.forEach((handle, place) => {
        handle.style.left = left(place, size.width) + "px";
        handle.style.top = TOP - 8 + "px";
        const room = (size.width - 2 * SIDE) / Math.max(1, settings.axes.length - 1) - 12;
        handle.firstChild.style.maxWidth = Math.max(40,
          place === 0 || place === handles.length - 1 ? Math.min(room, 2 * SIDE) : room) + "px";
        say(handle, inside);
      });
    };

    // The line under the pointer, of those within.
    const find = (px, py) => {
      let best = null, least = 8;
      for (const line of lines) {
        if (!within(line.row)) continue;
        for (let place = 1; place < line.points.length; place++) {
          const [one, other] = [line.points[place - 1], line.points[place]];
          if (!one || !other || px < one[0] || px > other[0]) continue;
          const distance = Math.abs(one[1] + ((other[1] - one[1]) * (px - one[0])) / (other[0] - one[0]) - py);
          if (distance < least) [best, least] = [line, distance];
        }
      }
      return best;
    };
    const go = (next) => {
      here = next;
      frame.style.cursor = next?.line.row.href ? "pointer" : "default";
      plot.overlay();
    };
    frame.addEventListener("pointermove", (event) => {
      if (event.target.closest(".axis")) return go(null);
      const box = frame.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top,
        line = find(px, py);
      go(line ? { line, px, py } : null);
    });
    frame.addEventListener("pointerleave", () => go(null));
    frame.addEventListener("click", (event) => {
      const href = !event.target.closest(".axis") && here?.line.row.href;
      if (href) location.assign(href);
    });

    makeHandles();
    settings.onbrush?.(settings.brushes, settings.rows.filter(within));
    return {
      update: (changes) => {
        settings = { ...settings, ...changes };
        frame.setAttribute("aria-label", settings.label);
        here = null;
        makeHandles();
        plot.redraw();
        settings.onbrush?.(settings.brushes, settings.rows.filter(within));
      },
      destroy: plot.destroy,
    };
  };
})();
