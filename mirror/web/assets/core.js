// What all pages share: elements, data, the view in the address, numbers and times as people read them.
// Classic scripts, for a browser loads no modules from a file; everything is a member of `wm`.
"use strict";
window.wm = {};

(() => {
  const settings = JSON.parse(document.body.dataset.settings || "{}");

  // An element. Texts are text and never markup; attributes in `on…` are listeners, `class`, `dataset` and others as in HTML.
  wm.el = (name, attributes = {}, ...children) => {
    const [tag, space] = name.startsWith("svg:") ? [name.slice(4), "http://www.w3.org/2000/svg"] : [name, null];
    const element = space ? document.createElementNS(space, tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (key === "style") for (const [property, text] of Object.entries(value)) property.startsWith("--") ? element.style.setProperty(property, text) : (element.style[property] = text);
      else if (key === "dataset") Object.assign(element.dataset, value);
      else if (["value", "checked", "selected", "disabled", "open", "hidden", "indeterminate"].includes(key)) element[key] = value;
      else element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  };

  // Fills an element anew.
  wm.fill = (element, ...children) => {
    element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  };

  wm.settings = settings;
  wm.isStatic = Boolean(settings.static);
  wm.readOnly = wm.isStatic || Boolean(settings.readOnly);

  class Refused extends Error {
    constructor(message, hint, status) {
      super(message);
      this.hint = hint;
      this.status = status;
    }
  }
  wm.Refused = Refused;

  const query = (parameters) => {
    const search = new URLSearchParams();
    for (const [key, value] of Object.entries(parameters)) {
      if (value === null || value === undefined || value === "") continue;
      search.set(key, typeof value === "object" ? JSON.stringify(value) : String(value));
    }
    search.sort();
    return search.toString();
  };

  const answered = async (response) => {
    if (response.ok) return response;
    if (response.status === 401) location.assign("/-/enter?next=" + encodeURIComponent(location.pathname + location.search));
    let told = {};
    try {
      told = await response.json();
    } catch { /* no JSON: the status says all that there is */ }
    throw new Refused(told.error || `the server answered ${response.status}`, told.hint, response.status);
  };

  // In a static export, answers are scripts that put themselves into `wm.kept`.
  wm.kept = {};
  const loading = new Map();
  const keptAnswer = (name) => {
    if (!loading.has(name)) {
      loading.set(name, new Promise((done, failed) => {
        const script = wm.el("script", { src: `${settings.root}data/${name}.js` });
        script.onload = () => (name in wm.kept ? done(wm.kept[name]) : failed(new Refused("this is not part of the export")));
        script.onerror = () => failed(new Refused("this is not part of the export"));
        document.head.append(script);
      }));
    }
    return loading.get(name);
  };

  // An answer of the server: `await wm.get("runs", {project: "team/vision", limit: 100})`. Throws `wm.Refused`.
  wm.get = async (name, parameters = {}, options = {}) => {
    if (wm.isStatic) return wm.staticAnswer(name, parameters);
    const asked = query(parameters);
    const address = `/-/data/${name}${asked ? "?" + asked : ""}`;
    const response = await answered(await fetch(address, { cache: "no-cache", signal: options.signal }));
    const answer = await response.json();
    if (answer && typeof answer === "object") Object.defineProperty(answer, "etag", { value: response.headers.get("etag") });
    return answer;
  };

  // Replaced by static.js.
  wm.staticAnswer = (name, parameters) => keptAnswer(parameters.kept || name);
  wm.keptAnswer = keptAnswer;

  // Sends something: `await wm.post("edit", {...})`.
  wm.post = async (name, body) => {
    const response = await wm.send(name, body);
    return response.json();
  };

  wm.send = async (name, body) => {
    const headers = { "content-type": "application/json", "x-wandb-mirror": "page" };
    return answered(await fetch(`/-/data/${name}`, { method: "POST", headers, body: JSON.stringify(body) }));
  };

  // The view, as the address has it: strings by name. `wm.view.set` replaces the entry of the history.
  wm.view = {
    get: (name, otherwise = "") => new URLSearchParams(location.search).get(name) ?? otherwise,
    json: (name, otherwise) => {
      try {
        return JSON.parse(new URLSearchParams(location.search).get(name)) ?? otherwise;
      } catch {
        return otherwise;
      }
    },
    set: (changes) => {
      const search = new URLSearchParams(location.search);
      for (const [name, value] of Object.entries(changes)) {
        if (value === null || value === undefined || value === "") search.delete(name);
        else search.set(name, typeof value === "object" ? JSON.stringify(value) : String(value));
      }
      const text = search.toString();
      history.replaceState(null, "", location.pathname + (text ? "?" + text : "") + location.hash);
    },
  };

  const parts = (texts) => texts.map(encodeURIComponent).join("/");
  // Addresses of pages.
  wm.address = {
    home: () => (wm.isStatic ? settings.root + "index.html" : "/"),
    project: (entity, project) => (wm.isStatic ? settings.root + "index.html" : "/" + parts([entity, project])),
    run: (entity, project, id) => {
      if (!wm.isStatic) return "/" + parts([entity, project, "runs", id]);
      const page = settings.pages?.[id];
      return page ? settings.root + page : null;
    },
    compare: (entity, project, ids) => "/" + parts([entity, project, "compare"]) + "?runs=" + encodeURIComponent(JSON.stringify(ids)),
    artifact: (entity, project, type, name, version) => "/" + parts([entity, project, "artifacts", type, name, version]),
    sweep: (entity, project, id) => "/" + parts([entity, project, "sweeps", id]),
    mirror: () => "/-/mirror",
    sql: () => "/-/sql",
  };

  // A number in up to five digits, with thousands: 12,345; 0.0123; 1.5e-7.
  wm.number = (value) => {
    if (value === null || value === undefined) return "";
    if (typeof value !== "number") return String(value);
    if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-4 || size >= 1e15)) {
      return value.toExponential(4).replace(/\.?0+e/, "e").replace("e+", "e").replaceAll("-", "−");
    }
    if (Number.isInteger(value)) return value.toLocaleString("en-US").replace("-", "−");
    const digits = Math.max(0, 4 - Math.floor(Math.log10(size)));
    return value.toLocaleString("en-US", { maximumFractionDigits: Math.min(20, digits) }).replace("-", "−");
  };

  const UNITS = ["B", "kB", "MB", "GB", "TB"];
  wm.bytes = (count) => {
    if (count === null || count === undefined) return "";
    let place = 0;
    for (; count >= 1000 && place < UNITS.length - 1; place++) count /= 1000;
    return `${place ? count.toFixed(count < 10 ? 1 : 0) : count} ${UNITS[place]}`;
  };

  wm.duration = (seconds) => {
    if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
    const whole = Math.round(seconds);
    const all = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"], [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
    const first = all.findIndex(([count]) => count);
    if (first < 0) return "0 s";
    return all.slice(first, first + 2).filter(([count]) => count).map(([count, unit]) => `${count} ${unit}`).join(" ");
  };

  const moment = (text) => (text ? new Date(/[zZ]|[+-]\d\d:?\d\d$/.test(text) ? text : text + "Z") : null);
  // A time of the server's, as the reader's clock has it.
  wm.time = (text) => {
    const at = moment(text);
    return at && !Number.isNaN(at.getTime()) ? at.toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "short" }) : text || "";
  };
  wm.ago = (text) => {
    const at = moment(text);
    if (!at || Number.isNaN(at.getTime())) return "never";
    const seconds = (Date.now() - at.getTime()) / 1000;
    if (seconds < 5) return "just now";
    return `${wm.duration(seconds).split(" ").slice(0, 2).join(" ")} ago`;
  };
  wm.plural = (count, noun, many = noun + "s") => `${wm.number(count)} ${count === 1 ? noun : many}`;

  // Names in the order in which people count: layer 2 before layer 10.
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  wm.natural = (left, right) => collator.compare(left, right);

  // Colours of lines, told apart also by who sees few colours; the hue is the run's own, wherever it is drawn.
  const COLOURS = ["#3a6fd8", "#d0682b", "#2f9e6b", "#c23d7c", "#7b5cd6", "#a8871a", "#1d98b0", "#c2453f", "#5b8c2a", "#96619f", "#4d7a9c", "#b0724a"];
  wm.colour = (name) => {
    let hash = 2166136261;
    for (let place = 0; place < name.length; place++) hash = Math.imul(hash ^ name.charCodeAt(place), 16777619) >>> 0;
    return COLOURS[hash % COLOURS.length];
  };
  // Colours for names that are shown together: as few twice as can be.
  wm.colours = (names) => {
    const taken = new Map(), used = new Set();
    for (const name of names) {
      let place = COLOURS.indexOf(wm.colour(name));
      for (let tried = 0; tried < COLOURS.length && used.has(place); tried++) place = (place + 1) % COLOURS.length;
      used.add(place);
      if (used.size === COLOURS.length) used.clear();
      taken.set(name, COLOURS[place]);
    }
    return taken;
  };

  // One line at the bottom, read out by screen readers; `tone` is "good" or "bad".
  wm.say = (text, tone = "good") => {
    const place = document.getElementById("said");
    const line = wm.el("div", { class: `said ${tone}`, role: tone === "bad" ? "alert" : "status" }, text);
    place.append(line);
    setTimeout(() => line.remove(), tone === "bad" ? 12000 : 5000);
  };
  wm.sayError = (error) => {
    if (error.name === "AbortError") return;
    wm.say(error.hint ? `${error.message} (${error.hint})` : error.message, "bad");
    if (!(error instanceof Refused)) console.error(error);
  };
  // What stands where something could not be shown.
  wm.trouble = (error) => wm.el("p", { class: "trouble", role: "alert" }, error.message, error.hint ? wm.el("span", { class: "hint" }, error.hint) : null);

  // Calls when the mirror has changed: a commit, or something queued. Asks while the page is seen.
  const watchers = new Set();
  let pulse = null;
  wm.watch = (changed) => watchers.add(changed);
  const look = async () => {
    if (document.hidden || wm.isStatic) return;
    let now;
    try {
      now = await wm.get("pulse");
    } catch {
      document.body.classList.add("lost");
      return;
    }
    document.body.classList.remove("lost");
    const before = pulse;
    pulse = now;
    showPulse(now);
    if (before && (before.commit !== now.commit || before.queue !== now.queue)) for (const changed of watchers) changed(now);
  };
  const showPulse = (now) => {
    const place = document.getElementById("fresh");
    if (!place) return;
    const waiting = now.outbox.new + now.outbox.claimed, held = now.outbox.conflict + now.outbox.dead;
    wm.fill(place,
      wm.el("span", { title: now.as_of ? wm.time(now.as_of) : "" }, now.as_of ? `as of ${wm.ago(now.as_of)}` : "nothing pulled yet"),
      waiting ? wm.el("a", { class: "waiting", href: "/-/mirror#outbox" }, `${wm.plural(waiting, "change")} queued`) : null,
      held ? wm.el("a", { class: "held", href: "/-/mirror#outbox" }, `${wm.plural(held, "decision")} to make`) : null);
  };
  if (!wm.isStatic && document.getElementById("fresh")) {
    const beat = async () => {
      await look();
      setTimeout(beat, 3000);
    };
    beat();
    document.addEventListener("visibilitychange", look);
  }
  wm.lookNow = look;

  // Runs a function when it was not asked for during so many milliseconds.
  wm.later = (milliseconds, run) => {
    let timer = null;
    return (...given) => {
      clearTimeout(timer);
      timer = setTimeout(() => run(...given), milliseconds);
    };
  };
})();
