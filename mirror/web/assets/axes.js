// What all plots share: scales with round ticks, a sharp canvas with a second one above it, and the tip at the pointer.
"use strict";

(() => {
  const MINUTE = 60, HOUR = 3600, DAY = 86400;
  const SECONDS = [1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY, 180 * DAY, 365 * DAY];
  const POWERS = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

  const niceStep = (span, count) => {
    const raw = span / Math.max(1, count), power = 10 ** Math.floor(Math.log10(raw));
    return power * [1, 2, 5, 10].find((each) => each * power >= raw * 0.999);
  };
  const secondsStep = (span, count) => {
    const raw = span / Math.max(1, count);
    return raw < 1 ? niceStep(span, count) : SECONDS.find((each) => each >= raw) || niceStep(span / (365 * DAY), count) * 365 * DAY;
  };
  const multiples = (low, high, step, shift = 0) => {
    const found = [];
    for (let count = Math.ceil((low - shift) / step - 1e-9); found.length < 200; count++) {
      if (!(count * step + shift <= high + step * 1e-9)) break;
      found.push(count * step + shift);
    }
    return found;
  };
  const plain = (value, digits) => value.toFixed(Math.max(0, Math.min(12, digits))).replace("-", "−");
  const power = (value) => value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e").replaceAll("-", "−");

  // Texts of numbers on an axis, with one unit for all.
  const numberTexts = (values, step) => {
    const most = Math.max(...values.map(Math.abs), 0);
    if (most !== 0 && (most < 1e-3 || most >= 1e15 || (step && step < 1e-9))) return values.map((value) => (value ? power(value) : "0"));
    const [unit, letter] = most >= 1e4 ? POWERS.find(([size]) => most >= size * 10 || (size === 1e3 && most >= 1e4)) || [1, ""] : [1, ""];
    const digits = Math.max(0, -Math.floor(Math.log10(step / unit) + 1e-9));
    return values.map((value) => (value === 0 ? "0" : plain(value / unit, digits) + letter));
  };
  const clock = (seconds, step) => {
    const at = new Date(seconds * 1000), two = (count) => String(count).padStart(2, "0");
    const day = at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    if (step >= 180 * DAY) return at.toLocaleDateString("en-GB", { month: "short", year: "numeric" });
    if (step >= DAY || (at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0)) return day;
    return two(at.getHours()) + ":" + two(at.getMinutes()) + (step < MINUTE ? ":" + two(at.getSeconds()) : "");
  };

  // A scale from values to pixels. kind: number | time (seconds of the epoch) | duration (seconds) | log | category.
  const scale = (kind, [low, high], [from, to], names = []) => {
    if (kind === "log") {
      low = Math.log10(low);
      high = Math.log10(high);
    }
    if (!(high > low)) {
      const pad = kind === "log" ? 0.5 : Math.abs(low) * 0.05 || 1;
      low -= pad;
      high += pad;
    }
    const slope = (to - from) / (high - low);
    const at = kind === "log" ? (value) => from + (Math.log10(value) - low) * slope : (value) => from + (value - low) * slope;
    const back = kind === "log" ? (pixel) => 10 ** ((pixel - from) / slope + low) : (pixel) => (pixel - from) / slope + low;
    // Ticks, as [value, text].
    const ticks = (count) => {
      if (kind === "category") {
        const every = Math.ceil(names.length / Math.max(1, count));
        return names.map((name, place) => [place, name]).filter((_, place) => place % every === 0);
      }
      if (kind === "log" && high - low >= 1) {
        const every = Math.ceil((high - low) / Math.max(1, count)), leads = every === 1 && high - low < 2.5 ? [1, 2, 5] : [1];
        const exponents = multiples(Math.floor(low / every) * every, high, every);
        const values = exponents.flatMap((exponent) => leads.map((lead) => lead * 10 ** exponent));
        return values.filter((value) => Math.log10(value) >= low - 1e-9 && Math.log10(value) <= high + 1e-9)
          .map((value) => [value, value >= 1e-3 && value < 1e4 ? String(+value.toPrecision(3)) : power(value)]);
      }
      const [first, last] = kind === "log" ? [10 ** low, 10 ** high] : [low, high];
      const ofTime = kind === "time" || kind === "duration";
      const step = ofTime ? secondsStep(last - first, count) : niceStep(last - first, count);
      const shift = kind === "time" && step >= HOUR ? new Date(first * 1000).getTimezoneOffset() * MINUTE : 0;
      const values = multiples(first, last, step, shift);
      if (kind === "time") return values.map((value) => [value, clock(value, step)]);
      if (kind === "duration" && step >= 1) return values.map((value) => [value, value ? wm.duration(value) : "0"]);
      const texts = numberTexts(values, step);
      return values.map((value, place) => [value, texts[place]]);
    };
    const text = (value) => {
      if (kind === "category") return names[Math.round(value)] ?? "";
      if (kind === "time") return new Date(value * 1000).toLocaleString("sv-SE");
      return kind === "duration" && value >= 10 ? wm.duration(value) : wm.number(value);
    };
    return { at, back, ticks, text, kind, low: kind === "log" ? 10 ** low : low, high: kind === "log" ? 10 ** high : high };
  };

  // The colours of the page, as canvases need them.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let theme = null;
  dark.addEventListener("change", () => { theme = null; });
  const themeNow = () => {
    if (theme) return theme;
    const style = getComputedStyle(document.documentElement);
    theme = Object.fromEntries([
      "ink", "soft", "rule", "edge", "faint", "paper", "line"
    ].map((name) => [name, style.getPropertyValue("--" + name).trim()]));
    theme.font = "11px " + (style.getPropertyValue("--sans") || "sans-serif");
    return theme;
  };

  // The tip at the pointer: one for all plots.
  const tip = wm.el("div", { class: "tip", "aria-hidden": "true", hidden: true });
  const showTip = (frame, x, y, ...content) => {
    const home = frame.closest("dialog") || document.body;
    if (tip.parentNode !== home) home.append(tip);
    wm.fill(tip, ...content);
    tip.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = tip;
    const left = x + 16 + width > innerWidth - 8 ? x - width - 16 : x + 16;
    const top = Math.max(8, Math.min(y + 14, innerHeight - height - 8));
    tip.style.transform = `translate(${Math.round(Math.max(8, left))}px, ${Math.round(top)}px)`;
  };
  const hideTip = () => { tip.hidden = true; };
  const entry = (colour, name, value, near) => wm.el("div", { class: near ? "told-line near" : "told-line" },
    wm.el("span",
      { class: "swatch", style: { background: colour } }), wm.el("bdi", { class: "cut" }, name), wm.el("span", {}, value));

  // A frame with two canvases, drawn when they are due: `draw` the plot itself, `over` what follows the pointer.
  const surface = (host, { label, height = 190, draw, over }) => {
    const base = wm.el("canvas", { "aria-hidden": "true" }), top = wm.el("canvas", { "aria-hidden": "true" });
    const told = wm.el("div", { class: "unseen", role: "status" });
    const frame = wm.el("div",
      {
        class: "plot", tabindex: 0, role: "application", "aria-roledescription": "chart", "aria-label": label,
        style: { height: height + "px" }
      },
      base, top, told);
    host.append(frame);
    const contexts = [base.getContext("2d"), top.getContext("2d")];
    let size = { width: 0, height: 0 }, ratio = 1, due = 0, asked = false;
    const paint = () => {
      asked = false;
      if (!size.width) return;
      for (const [place, run] of [draw, over].entries()) {
        if (!(due & (place + 1))) continue;
        const context = contexts[place];
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        context.clearRect(0, 0, size.width, size.height);
        run(context, size, ratio);
      }
      due = 0;
    };
    const redraw = (what = 3) => {
      due |= what;
      if (!asked) requestAnimationFrame(paint);
      asked = true;
    };
    const fit = () => {
      const next = { width: frame.clientWidth, height: frame.clientHeight };
      const sharp = devicePixelRatio || 1;
      if (next.width === size.width && next.height === size.height && sharp === ratio) return;
      size = next;
      ratio = sharp;
      for (const canvas of [base, top]) {
        canvas.width = Math.round(size.width * ratio);
        canvas.height = Math.round(size.height * ratio);
      }
      redraw();
    };
    const observer = new ResizeObserver(fit);
    observer.observe(frame);
    const scheme = () => redraw();
    dark.addEventListener("change", scheme);
    fit();
    return {
      frame, redraw,
      overlay: () => redraw(2),
      say: (text) => { told.textContent = text; },
      get size() { return size; },
      destroy: () => {
        observer.disconnect();
        dark.removeEventListener("change", scheme);
        hideTip();
        frame.remove();
      },
    };
  };

  // Draws the axes of a plot with their ticks; returns the area that is left, and the scales in it.
  const axes = (context, size, ratio, { x, y }) => {
    const colours = themeNow(), sharp = (value) => (Math.round(value * ratio) + (Math.round(ratio) % 2) / 2) / ratio;
    const top = 8, bottom = size.height - (x.label ? 36 : 22);
    const vertical = scale(y.kind, y.range, [bottom, top], y.names);
    const marks = vertical.ticks((bottom - top) / 36);
    context.font = colours.font;
    const widest = Math.max(18, ...marks.map(([, text]) => context.measureText(text).width));
    const left = Math.min(Math.ceil(widest) + 10, size.width / 3) + (y.label ? 16 : 0), right = size.width - 10;
    const horizontal = scale(x.kind, x.range, [left, right], x.names);
    context.lineWidth = 1 / ratio;
    context.strokeStyle = colours.rule;
    context.fillStyle = colours.soft;
    context.beginPath();
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const [value, text] of marks) {
      const at = sharp(vertical.at(value));
      context.moveTo(left, at);
      context.lineTo(right, at);
      context.fillText(text, left - 6, at, left - 8);
    }
    context.stroke();
    context.beginPath();
    context.strokeStyle = colours.edge;
    context.moveTo(left, sharp(bottom));
    context.lineTo(right, sharp(bottom));
    context.textBaseline = "top";
    context.textAlign = "center";
    let until = -Infinity;
    for (const [value, text] of horizontal.ticks(Math.max(2, (right - left) / 80))) {
      const at = horizontal.at(value), half = context.measureText(text).width / 2;
      context.moveTo(sharp(at), sharp(bottom));
      context.lineTo(sharp(at), sharp(bottom) + 4);
      const middle = Math.min(at, size.width - half - 1);
      if (middle - half < until + 8) continue;
      context.fillText(text, middle, bottom + 7);
      until = middle + half;
    }
    context.stroke();
    if (x.label) context.fillText(x.label, (left + right) / 2, size.height - 13, right - left);
    if (y.label) {
      context.save();
      context.translate(2, (top + bottom) / 2);
      context.rotate(-Math.PI / 2);
      context.fillText(y.label, 0, 0, bottom - top);
      context.restore();
    }
    return { left, right, top, bottom, x: horizontal, y: vertical };
  };

  // Lowest and highest of the numbers, with some air; on a logarithmic axis only of those above zero.
  const range = (values, log, air = 0.04) => {
    let low = Infinity, high = -Infinity;
    for (const value of values) {
      if (value === null || !Number.isFinite(value) || (log && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return log ? [0.1, 10] : [0, 1];
    return padded(low, high, log, air);
  };
  const padded = (low, high, log, air) => {
    if (log) {
      const more = (high / low) ** air || 1;
      return [low / more, high * more];
    }
    const more = (high - low) * air;
    return [low - more, high + more];
  };

  // Colours of numbers from 0 to 1, as even to the eye as viridis is.
  const RAMP = [[68, 57, 140], [49, 104, 142], [33, 145, 140], [83, 190, 100], [220, 200, 40]];
  const ramp = (part) => {
    const at = Math.max(0, Math.min(1, part)) * (RAMP.length - 1), first = Math.min(RAMP.length - 2, Math.floor(at));
    return `rgb(${RAMP[first].map((value, place) => Math.round(value + (RAMP[first + 1][place] - value) * (at - first))).join(",")})`;
  };
  const rampCss = `linear-gradient(90deg, ${RAMP.map((colour) => `rgb(${colour})`).join(", ")})`;

  wm.plot = { scale, theme: themeNow, surface, axes, range, padded, ramp, rampCss, showTip, hideTip, entry };
})();
