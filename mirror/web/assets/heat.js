// Histograms over steps: a column for each step, darker where more values lie.
"use strict";

(() => {
  const { surface, axes, padded, theme, showTip, hideTip } = wm.plot;

  // A chart of histograms: steps: [{step, bins: [n + 1 edges], counts: [n]}]; key, label, height.
  // Returns {update(options), destroy()}.
  wm.heat = (host, options) => {
    let settings = { height: 220, ...options }, area = null, here = null;

    // From where to where a step's column goes: half way to its neighbours.
    const span = (place) => {
      const { steps } = settings, at = steps[place].step;
      const before = place ? (at - steps[place - 1].step) / 2 : steps.length > 1 ? (steps[1].step - at) / 2 : 0.5;
      const after = place < steps.length - 1 ? (steps[place + 1].step - at) / 2 : before;
      return [at - before, at + after];
    };

    const draw = (context, size, ratio) => {
      const { steps } = settings,
        edges = steps.flatMap(({ bins }) => [bins[0], bins[bins.length - 1]]).filter(Number.isFinite);
      const ySpan = edges.length ? padded(Math.min(...edges), Math.max(...edges), false, 0.02) : [0, 1];
      const xSpan = steps.length ? [span(0)[0], span(steps.length - 1)[1]] : [0, 1];
      area = axes(context,
        size, ratio, { x: { kind: "number", range: xSpan, label: "Step" }, y: { kind: "number", range: ySpan } });
      context.fillStyle = theme().line;
      steps.forEach(({ bins, counts }, place) => {
        const [from, to] = span(place).map((value) => Math.round(area.x.at(value) * ratio) / ratio),
          most = Math.max(...counts, 1);
        counts.forEach((count, bin) => {
          if (!count) return;
          const top = area.y.at(bins[bin + 1]), bottom = area.y.at(bins[bin]);
          context.globalAlpha = 0.08 + 0.92 * (count / most) ** 0.7;
          context.fillRect(from, top, Math.max(1 / ratio, to - from), Math.max(1 / ratio, bottom - top));
        });
      });
      context.globalAlpha = 1;
    };
    const over = (context) => {
      if (!here || !area) return hideTip();
      const { step, bins, counts } = settings.steps[here.place], [from, to] = span(here.place);
      context.strokeStyle = theme().ink;
      context.lineWidth = 1;
      context.strokeRect(area.x.at(from),
        area.y.at(bins[here.bin + 1]), area.x.at(to) - area.x.at(from),
        area.y.at(bins[here.bin]) - area.y.at(bins[here.bin + 1]));
      const box = plot.frame.getBoundingClientRect();
      showTip(plot.frame, box.left + area.x.at(step), box.top + area.y.at(bins[here.bin + 1]),
        wm.el("div", { class: "at" }, `Step ${wm.number(step)}`), wm.el("div", {},
          `${wm.number(bins[here.bin])} to ${wm.number(bins[here.bin + 1])}`
        ), wm.el("div", {}, wm.plural(counts[here.bin], "value")));
    };

    const plot = surface(host,
      {
        label: settings.label || `${settings.key || "Histograms"} over ${settings.steps.length} steps`,
        height: settings.height, draw, over
      });
    const { frame } = plot;
    const go = (next) => {
      here = next;
      plot.overlay();
    };
    frame.addEventListener("pointermove", (event) => {
      if (!area) return;
      const box = frame.getBoundingClientRect(), x = area.x.back(event.clientX - box.left),
        y = area.y.back(event.clientY - box.top);
      const place = settings.steps.findIndex((_, at) => x >= span(at)[0] && x < span(at)[1]);
      const { bins, counts } = settings.steps[place] || { bins: [], counts: [] };
      const bin = counts.findIndex((_, at) => y >= bins[at] && y <= bins[at + 1]);
      go(bin < 0 ? null : { place, bin });
    });
    frame.addEventListener("pointerleave", () => go(null));
    frame.addEventListener("blur", () => go(null));
    frame.addEventListener("keydown", (event) => {
      const moves = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!moves || !settings.steps.length) return;
      event.preventDefault();
      const place = here ? Math.max(0, Math.min(settings.steps.length - 1, here.place + moves[0])) : 0,
        { step, bins, counts } = settings.steps[place];
      const bin = here ? Math.max(0, Math.min(counts.length - 1, here.bin + moves[1])) : Math.floor(counts.length / 2);
      go({ place, bin });
      plot.say(`Step ${wm.number(step)}, ${wm.number(bins[bin])} to ${wm.number(bins[bin + 1])}: ${wm.plural(counts[bin], "value")}`);
    });
    return {
      update: (changes) => {
        settings = { ...settings, ...changes };
        here = null;
        plot.redraw();
      },
      destroy: plot.destroy,
    };
  };
})();
