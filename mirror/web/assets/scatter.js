// Points on canvas: each a run, found by pointer or keys and opened by a press.
"use strict";

(() => {
  const { surface, axes, range, theme, showTip, hideTip, entry } = wm.plot;
  const REACH = 14; // pixels from a point that still mean it

  // A chart of points.
  //   label, height; points: [{x, y, name, colour, href, lines: [texts for the tip]}]
  //   x, y: {label, kind: "number|log|time|duration|category", names}
  // Returns {update(options), destroy()}.
  wm.scatter = (host, options) => {
    let settings = { height: 420, ...options }, area = null, points = [], here = -1;

    const prepare = () => {
      const usable = (value, axis) => Number.isFinite(value) && (axis.kind !== "log" || value > 0);
      points = settings.points.filter((point) => usable(point.x, settings.x) && usable(point.y, settings.y)).sort((left, right) => left.x - right.x);
      here = -1;
    };
    const rangeOf = (name) => (settings[name].kind === "category" ? [-0.5, settings[name].names.length - 0.5] : range(
      points.map((point) => point[name]), settings[name].kind === "log", 0.05
    ));

    const draw = (context, size, ratio) => {
      area = axes(context,
        size, ratio, { x: { ...settings.x, range: rangeOf("x") }, y: { ...settings.y, range: rangeOf("y") } });
      const radius = points.length > 2000 ? 2.5 : points.length > 300 ? 3.5 : 4.5;
      context.strokeStyle = theme().paper;
      context.lineWidth = 1;
      for (const point of points) {
        point.px = area.x.at(point.x);
        point.py = area.y.at(point.y);
        context.globalAlpha = 0.85;
        context.fillStyle = point.colour;
        context.beginPath();
        context.arc(point.px, point.py, radius, 0, 7);
        context.fill();
        context.globalAlpha = 1;
        context.stroke();
      }
      if (points.length) return;
      context.fillStyle = theme().soft;
      context.textAlign = "center";
      context.fillText("no run has both values", (area.left + area.right) / 2, (area.top + area.bottom) / 2);
    };
    const over = (context) => {
      const point = points[here];
      if (!point || !area) return hideTip();
      context.strokeStyle = theme().ink;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(point.px, point.py, 7, 0, 7);
      context.stroke();
      const box = plot.frame.getBoundingClientRect();
      showTip(plot.frame, box.left + point.px, box.top + point.py, entry(point.colour, point.name, "", true),
        wm.el("div", {},
          `${settings.x.label}: ${area.x.text(point.x)}`), wm.el("div", {}, `${settings.y.label}: ${area.y.text(point.y)}`),
        (point.lines || []).map((line) => wm.el("div", { class: "at" }, line)));
    };

    const plot = surface(host, { label: settings.label, height: settings.height, draw, over });
    const { frame } = plot;
    const go = (place) => {
      here = place;
      frame.style.cursor = points[here]?.href ? "pointer" : "";
      plot.overlay();
    };
    const find = (event) => {
      const box = frame.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
      let best = -1, least = REACH * REACH;
      points.forEach((point, place) => {
        const distance = (point.px - px) ** 2 + (point.py - py) ** 2;
        if (distance < least) [best, least] = [place, distance];
      });
      return best;
    };
    frame.addEventListener("pointermove", (event) => go(find(event)));
    frame.addEventListener("pointerleave", () => go(-1));
    frame.addEventListener("blur", () => go(-1));
    const visit = (event) => {
      const href = points[here]?.href;
      if (!href) return;
      if (event.metaKey || event.ctrlKey) open(href);
      else location.assign(href);
    };
    frame.addEventListener("click", (event) => {
      go(find(event));
      visit(event);
    });
    frame.addEventListener("keydown", (event) => {
      const steps = {
        ArrowRight: here + 1, ArrowUp: here + 1, ArrowLeft: here - 1, ArrowDown: here - 1, Home: 0, End: points.length - 1
      };
      if (event.key === "Enter") return visit(event);
      if (!(event.key in steps) || !points.length) return;
      event.preventDefault();
      go(Math.max(0, Math.min(points.length - 1, steps[event.key])));
      const point = points[here];
      plot.say(`${point.name}: ${settings.x.label} ${area.x.text(point.x)}, ${settings.y.label} ${area.y.text(point.y)}`);
    });

    prepare();
    return {
      update: (changes) => {
        settings = { ...settings, ...changes };
        frame.setAttribute("aria-label", settings.label);
        prepare();
        plot.redraw();
      },
      destroy: plot.destroy,
    };
  };
})();
