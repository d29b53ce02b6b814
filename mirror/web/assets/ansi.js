// Lines of a terminal: their colours, from ANSI escape codes, as elements that can be read on any ground.
"use strict";

(() => {
  const { el } = wm;

  const BASIC = ["#000000", "#c33a3a", "#2f8f46", "#a37a00", "#3a6fd8", "#a8479e", "#1b8a9e", "#bfbfbf", "#7a7a7a", "#e5534b", "#46b35c", "#d0a215", "#6b95ea", "#c972c0", "#3fb6ca", "#ffffff"];
  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const indexed = (code) => {
    if (code < 16) return rgb(BASIC[code]);
    if (code >= 232) return Array(3).fill(8 + (code - 232) * 10);
    const cube = code - 16;
    return [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((level) => (level ? 55 + level * 40 : 0));
  };
  const byte = (value) => Math.max(0, Math.min(255, value || 0));

  // One "select graphic rendition" sequence.
  const restyle = (style, codes) => {
    for (let at = 0; at < codes.length; at++) {
      const code = codes[at];
      if (code === 0) style = {};
      else if (code === 1) style = { ...style, bold: true };
      else if (code === 3) style = { ...style, italic: true };
      else if (code === 4) style = { ...style, underline: true };
      else if (code === 7) style = { ...style, inverse: true };
      else if (code === 9) style = { ...style, struck: true };
      else if (code === 22) style = { ...style, bold: false };
      else if (code === 23) style = { ...style, italic: false };
      else if (code === 24) style = { ...style, underline: false };
      else if (code === 27) style = { ...style, inverse: false };
      else if (code === 29) style = { ...style, struck: false };
      else if (code === 39) style = { ...style, front: null };
      else if (code === 49) style = { ...style, back: null };
      else if (code === 38 || code === 48) {
        const side = code === 38 ? "front" : "back";
        if (codes[at + 1] === 5) style = { ...style, [side]: indexed(byte(codes[at + 2])) }, at += 2;
        else if (codes[at + 1] === 2) style = { ...style, [side]: codes.slice(at + 2, at + 5).map(byte) }, at += 4;
      } else {
        const [side, first] = code >= 100 ? ["back", 92] : code >= 90 ? ["front", 82] : code >= 40 ? ["back", 40] : ["front", 30];
        const colour = code - first;
        if (colour >= 0 && colour < 16 && code >= 30 && code <= 107) style = { ...style, [side]: indexed(colour) };
      }
    }
    return style;
  };

  // Texts with their styles. Escape sequences of other kinds and control characters are dropped; of what a carriage
  // return wrote over, the last is kept.
  const SEQUENCE = /\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|\x1b|[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]/g;
  const spans = (line) => {
    const text = line.replace(/\r+$/, "").split("\r").pop();
    const found = [];
    let style = {}, from = 0;
    const put = (to) => { if (to > from) found.push({ text: text.slice(from, to), style }); };
    for (const match of text.matchAll(SEQUENCE)) {
      put(match.index);
      if (match[1] !== undefined) style = restyle(style, match[1].replaceAll(":", ";").split(";").map(Number));
      from = match.index + match[0].length;
    }
    put(text.length);
    return found;
  };
  wm.plainLine = (line) => spans(line).map(({ text }) => text).join("");

  const light = (colour) => {
    const [r, g, b] = colour.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  // A colour that can be read on a ground: moved towards black or white until it has a contrast of 4.5, with some left for a tinted line.
  const legible = (colour, ground) => {
    const under = light(ground), towards = under > 0.18 ? 0 : 255;
    for (let step = 0; step <= 10; step++) {
      const mixed = colour.map((part) => Math.round(part + ((towards - part) * step) / 10));
      const over = light(mixed);
      if ((Math.max(over, under) + 0.05) / (Math.min(over, under) + 0.05) >= 5.4) return mixed;
    }
    return Array(3).fill(towards);
  };
  const css = (colour) => `rgb(${colour.join(" ")})`;

  // The elements of a line on a ground, [red, green, blue]; what was searched for, in lower case, is marked.
  wm.terminalLine = (line, ground, wanted) => {
    const marked = (text) => {
      if (!wanted) return [text];
      const low = text.toLowerCase(), pieces = [];
      let from = 0;
      for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, from)) {
        pieces.push(text.slice(from, at), el("mark", {}, text.slice(at, at + wanted.length)));
        from = at + wanted.length;
      }
      return [...pieces, text.slice(from)];
    };
    return spans(line).map(({ text, style }) => {
      let { front, back } = style;
      if (style.inverse) [front, back] = [back || ground, front || legible([128, 128, 128], ground)];
      if (!front && !back && !style.bold && !style.italic && !style.underline && !style.struck) return marked(text);
      const decoration = [style.underline && "underline", style.struck && "line-through"].filter(Boolean).join(" ");
      return el("span", { style: {
        color: front || back ? css(legible(front || [128, 128, 128], back || ground)) : "",
        backgroundColor: back ? css(back) : "", fontWeight: style.bold ? "650" : "", fontStyle: style.italic ? "italic" : "", textDecoration: decoration,
      } }, marked(text));
    });
  };
})();
