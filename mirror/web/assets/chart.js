// Lines on canvas: bands, a cursor that charts of the same x share, zoom by dragging.
"use strict";

(() => {
  const { surface, axes, padded, theme, showTip, hideTip, entry } = wm.plot;
  const rooms = new Map(); // charts whose cursors move together, by the name of their x
  const TOLD = 14; // as many lines the tip names at once

  const isSorted = (values) => values.every((value, place) => place === 0 || value >= values[place - 1]);
  // The first place in sorted values that is not below.
  const placeOf = (values, value) => {
    let low = 0, high = values.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  // A chart of lines.
  //   label: what it says to who does not see it; height: pixels, 190
  //   lines: [{id, name, colour, x: [], y: [], raw: [] drawn faintly, low: [], high: [] a band}]
  //   x: {label, kind: "number|time|duration|log"}; y: {label, log}; points: also dots; sync: name of a shared cursor
  //   zoom: [from, to] | null; onzoom(from, to), onzoom(null)
  // Returns {update(options), emphasise(id), destroy(), frame}.
  wm.chart = (host, options) => {
    let settings = { height: 190, lines: [], x: {}, y: {}, ...options };
    let lines = [], zoom = settings.zoom || null, xRange, yRange, area = null, cursor = null, drag = null, emphasised = null,
      room = null, followed = 0;
    const xKind = () => settings.x.kind || "number";

    const prepare = () => {
      lines = settings.lines.filter((line) => line.x.length).map((line) => ({ ...line, sorted: isSorted(line.x), path: null }));
      measure();
    };

    // Places of a line's points within the shown range of x, with one more on both sides.
    const shown = (line) => {
      if (!line.sorted || !zoom) return [0, line.x.length];
      return [Math.max(0, placeOf(line.x, zoom[0]) - 1), Math.min(line.x.length, placeOf(line.x, zoom[1]) + 1)];
    };

    const measure = () => {
      const logX = xKind() === "log", logY = Boolean(settings.y.log);
      let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
      for (const line of lines) {
        const [from, to] = shown(line);
        for (let place = from; place < to; place++) {
          const x = line.x[place];
          if (x === null || (logX && x <= 0)) continue;
          if (x < x0) x0 = x;
          if (x > x1) x1 = x;
          if (zoom && (x < zoom[0] || x > zoom[1])) continue;
          for (const values of [line.y, line.raw, line.low, line.high]) {
            const y = values ? values[place] : null;
            if (y === null || y === undefined || (logY && y <= 0)) continue;
            if (y < y0) y0 = y;
            if (y > y1) y1 = y;
          }
        }
      }
      xRange = zoom || (x0 <= x1 ? padded(x0, x1, logX, 0.01) : logX ? [1, 10] : [0, 1]);
      yRange = y0 <= y1 ? padded(y0, y1, logY, 0.05) : logY ? [0.1, 10] : [0, 1];
      for (const line of lines) line.path = null;
    };

    const trace = (line, values) => {
      const path = new Path2D(), [from, to] = shown(line), logX = xKind() === "log";
      let pen = false;
      for (let place = from; place < to; place++) {
        const x = line.x[place], y = values[place];
        if (x === null || y === null || y === undefined || (settings.y.log && y <= 0) || (logX && x <= 0)) {
          pen = false;
          continue;
        }
        if (pen) path.lineTo(area.x.at(x), area.y.at(y));
        else path.moveTo(area.x.at(x), area.y.at(y));
        pen = true;
      }
      return path;
    };
    const band = (line) => {
      const path = new Path2D(), [from, to] = shown(line);
      const corner = (place, values) => {
        const value = settings.y.log ? Math.max(values[place], yRange[0]) : values[place];
        path.lineTo(area.x.at(line.x[place]), area.y.at(value));
      };
      for (let place = from; place < to; place++) corner(place, line.high);
      for (let place = to - 1; place >= from; place--) corner(place, line.low);
      return path;
    };
    const dots = (context, line) => {
      const [from, to] = shown(line);
      context.fillStyle = line.colour;
      context.beginPath();
      for (let place = from; place < to; place++) {
        if (line.y[place] === null || line.y[place] === undefined) continue;
        const x = area.x.at(line.x[place]), y = area.y.at(line.y[place]);
        context.moveTo(x + 2, y);
        context.arc(x, y, 2, 0, 7);
      }
      context.fill();
    };

    const draw = (context, size, ratio) => {
      area = axes(context,
        size, ratio,
        {
          x: { kind: xKind(), range: xRange, label: settings.x.label },
          y: { kind: settings.y.log ? "log" : "number", range: yRange, label: settings.y.label }
        });
      const key = [area.left, area.right, area.top, area.bottom].join();
      context.save();
      context.beginPath();
      context.rect(area.left, area.top - 2, area.right - area.left + 2, area.bottom - area.top + 4);
      context.clip();
      context.lineJoin = "round";
      const strong = lines.some((line) => line.id === emphasised) ? emphasised : null;
      for (const line of lines) {
        if (!line.path || line.drawnIn !== key) Object.assign(line,
          {
            drawnIn: key, path: trace(line, line.y), faint: line.raw ? trace(line, line.raw) : null,
            band: line.low ? band(line) : null
          });
        context.strokeStyle = context.fillStyle = line.colour;
        if (line.band) {
          context.globalAlpha = 0.14;
          context.fill(line.band);
        }
        if (line.faint) {
          context.globalAlpha = 0.22;
          context.lineWidth = 1;
          context.stroke(line.faint);
        }
        context.globalAlpha = strong !== null && line.id !== strong ? 0.25 : 1;
        context.lineWidth = strong !== null && line.id === strong ? 2.4 : line.x.length > area.right - area.left ? 1 : 1.4;
        context.stroke(line.path);
        if (settings.points || line.x.length === 1) dots(context, line);
        context.globalAlpha = 1;
      }
      context.restore();
      if (!lines.length) {
        context.fillStyle = theme().soft;
        context.textAlign = "center";
        context.fillText(settings.empty || "no points", (area.left + area.right) / 2, (area.top + area.bottom) / 2);
      }
    };

    // The points of the lines at an x.
    const near = (value) => {
      const found = [], pixel = area.x.at(value);
      for (const line of lines) {
        let best = -1;
        if (line.sorted) {
          const after = placeOf(line.x, value);
          best = after > 0 && (after === line.x.length || value - line.x[after - 1] <= line.x[after] - value) ? after - 1 : after;
        } else {
          const distance = (place) => Math.abs(line.x[place] - value);
          for (let place = 0; place < line.x.length; place++) if (best < 0 || distance(place) < distance(best)) best = place;
        }
        const y = line.y[best], x = line.x[best];
        if (y === null || y === undefined || (zoom && (x < zoom[0] || x > zoom[1]))) continue;
        const ended = best === 0 || best === line.x.length - 1;
        if (ended && line.x.length > 1 && Math.abs(area.x.at(x) - pixel) > 14) continue;
        found.push({ line, place: best, x, y, px: area.x.at(x), py: area.y.at(y) });
      }
      return found.sort((left, right) => right.y - left.y);
    };
    const closest = (hits, py) => hits.reduce(
      (best, hit) => (!best || Math.abs(hit.py - py) < Math.abs(best.py - py) ? hit : best), null
    );
    const valueText = ({ line, place, y }) => {
      if (line.low) return `${wm.number(y)}  (${wm.number(line.low[place])} to ${wm.number(line.high[place])})`;
      return line.raw && line.raw[place] !== y ? `${wm.number(y)}  (${wm.number(line.raw[place])})` : wm.number(y);
    };

    const over = (context, size, ratio) => {
      if (!area) return;
      const colours = theme();
      if (drag && drag.moved) {
        const [from, to] = [drag.from, drag.to].sort((left, right) => left - right);
        context.fillStyle = colours.line;
        context.globalAlpha = 0.14;
        context.fillRect(from, area.top, to - from, area.bottom - area.top);
        context.globalAlpha = 1;
        return hideTip();
      }
      if (!cursor || cursor.value < xRange[0] || cursor.value > xRange[1]) return cursor?.own && hideTip();
      const hits = near(cursor.value);
      const at = (Math.round(area.x.at(cursor.value) * ratio) + 0.5) / ratio;
      context.strokeStyle = colours.soft;
      context.lineWidth = 1 / ratio;
      context.beginPath();
      context.moveTo(at, area.top);
      context.lineTo(at, area.bottom);
      context.stroke();
      const nearest = cursor.own && cursor.py !== null ? closest(hits, cursor.py) : null;
      context.save();
      context.beginPath();
      context.rect(area.left, area.top - 4, area.right - area.left + 4, area.bottom - area.top + 8);
      context.clip();
      if (nearest && hits.length > 1) {
        context.lineWidth = 2.4;
        context.lineJoin = "round";
        context.strokeStyle = nearest.line.colour;
        context.stroke(nearest.line.path);
      }
      context.strokeStyle = colours.paper;
      context.lineWidth = 1.5;
      for (const hit of hits) {
        context.fillStyle = hit.line.colour;
        context.beginPath();
        context.arc(hit.px, hit.py, hit === nearest ? 4 : 3, 0, 7);
        context.fill();
        context.stroke();
      }
      context.restore();
      if (cursor.own) tellTip(hits, nearest, at);
    };
    const tellTip = (hits, nearest, at) => {
      const box = plot.frame.getBoundingClientRect();
      const first = Math.max(0, Math.min(hits.length - TOLD, hits.indexOf(nearest) - TOLD / 2));
      const told = hits.slice(first, first + TOLD);
      const x = nearest ? nearest.x : cursor.value;
      showTip(plot.frame, box.left + at, box.top + (cursor.py ?? area.top),
        wm.el("div", { class: "at" }, `${settings.x.label || settings.x.name || ""} ${area.x.text(x)}`.trim()),
        told.map((hit) => entry(hit.line.colour, hit.line.name, valueText(hit), hit === nearest && hits.length > 1)),
        hits.length > told.length ? wm.el("div", { class: "at" }, `and ${hits.length - told.length} more`) : null);
    };

    const move = (next) => {
      cursor = next;
      plot.overlay();
      if (!next || next.own) for (const other of room || []) if (other !== self) other.follow(next ? next.value : null);
    };
    const self = {
      follow: (value) => {
        if (value === null ? !cursor : cursor && cursor.value === value) return;
        cursor = value === null ? null : { value, py: null, own: false };
        plot.overlay();
      },
    };
    const join = (name) => {
      room?.delete(self);
      if (!name) return void (room = null);
      if (!rooms.has(name)) rooms.set(name, new Set());
      room = rooms.get(name).add(self);
    };

    const zoomTo = (next) => {
      zoom = next;
      measure();
      plot.redraw();
      settings.onzoom?.(...(next || [null]));
    };

    const plot = surface(host, { label: settings.label, height: settings.height, draw, over });
    const { frame } = plot;
    const inside = (event) => {
      const box = frame.getBoundingClientRect();
      return { px: Math.max(area.left, Math.min(area.right, event.clientX - box.left)), py: event.clientY - box.top };
    };
    frame.addEventListener("pointerdown", (event) => {
      if (!area || event.button !== 0 || event.pointerType === "touch") return;
      const { px } = inside(event);
      drag = { from: px, to: px, moved: false };
      frame.setPointerCapture(event.pointerId);
    });
    frame.addEventListener("pointermove", (event) => {
      if (!area) return;
      const { px, py } = inside(event);
      if (drag) {
        drag.to = px;
        drag.moved = Math.abs(px - drag.from) > 4;
      }
      move({ value: area.x.back(px), py, own: true });
    });
    frame.addEventListener("pointerup", () => {
      const done = drag;
      drag = null;
      if (done?.moved) zoomTo([done.from, done.to].map(area.x.back).sort((left, right) => left - right));
      plot.overlay();
    });
    frame.addEventListener("pointercancel", () => { drag = null; });
    const leave = () => {
      hideTip();
      move(null);
    };
    frame.addEventListener("pointerleave", () => !drag && leave());
    frame.addEventListener("blur", leave);
    frame.addEventListener("dblclick", () => zoom && zoomTo(null));
    frame.addEventListener("keydown", (event) => {
      if (!area || !lines.length || event.metaKey || event.ctrlKey || event.altKey) return;
      const line = lines[followed % lines.length], last = line.x.length - 1;
      const here = cursor ? Math.min(last,
        line.sorted ? placeOf(line.x, cursor.value) : 0) : line.sorted && zoom ? placeOf(line.x, zoom[0]) : 0;
      const stride = event.shiftKey ? 10 : 1;
      const steps = { ArrowRight: cursor ? here + stride : here, ArrowLeft: here - stride, Home: 0, End: last };
      if (event.key in steps) {
        const place = Math.max(0, Math.min(last, steps[event.key]));
        move({ value: line.x[place], py: area.y.at(line.y[place]), own: true });
      } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
        followed = (followed + (event.key === "ArrowUp" ? lines.length - 1 : 1)) % lines.length;
        const next = lines[followed],
          place = Math.min(next.x.length - 1, placeOf(next.x, cursor ? cursor.value : xRange[0]));
        move({ value: next.x[place], py: area.y.at(next.y[place]), own: true });
      } else if (event.key === "+" || event.key === "=") {
        const middle = area.x.at(cursor ? cursor.value : area.x.back((area.left + area.right) / 2)),
          quarter = (area.right - area.left) / 4;
        zoomTo([area.x.back(Math.max(area.left, middle - quarter)), area.x.back(Math.min(area.right, middle + quarter))]);
      } else if ((event.key === "-" || event.key === "0" || event.key === "Escape") && zoom) zoomTo(null);
      else return;
      event.preventDefault();
      event.stopPropagation();
      if (cursor) {
        const hits = near(cursor.value);
        const values = hits.slice(0, 6).map((hit) => `${hit.line.name} ${wm.number(hit.y)}`).join(", ");
        plot.say(`${settings.x.name || settings.x.label || "x"} ${area.x.text(cursor.value)}: ${values}`);
      }
    });

    prepare();
    join(settings.sync);
    return {
      frame,
      update: (changes) => {
        settings = { ...settings, ...changes };
        if ("zoom" in changes) zoom = changes.zoom;
        if ("sync" in changes) join(settings.sync);
        if ("label" in changes) frame.setAttribute("aria-label", settings.label);
        if ("lines" in changes) prepare();
        else measure();
        plot.redraw();
      },
      emphasise: (id) => {
        if (id === emphasised) return;
        emphasised = id;
        plot.redraw(1);
      },
      destroy: () => {
        join(null);
        plot.destroy();
      },
    };
  };
})();
