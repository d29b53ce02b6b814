// The page of one artifact version: facts, metadata, files, and where it came from and went to.
"use strict";

(() => {
  const { el, fill } = wm;
  const main = document.getElementById("main");
  const { entity, project, type, name, version } = wm.settings;

  // The runs that logged it → the version → the runs that used it: three columns of boxes with lines between.
  const HEIGHT = 40, GAP = 8, SHOWN = 8, WIDTH = 56; // as in detail.css
  const lineage = (one) => {
    const shown = { from: SHOWN, to: SHOWN };
    const place = el("div", { class: "lineage" });
    const boxes = (side, runs, empty) => {
      const some = runs.slice(0, shown[side]), left = runs.length - some.length;
      const items = some.map((path) => el("li", {}, wm.link(wm.address.run(...path), path[2], { title: path.join("/") }),
        path[0] === one.entity && path[1] === one.project ? null : el("small", {}, wm.name(`${path[0]}/${path[1]}`))));
      if (left) items.push(el("li", {}, el("button", { type: "button", class: "link", onclick: () => { shown[side] = runs.length; draw(); } }, `and ${wm.plural(left, "other")}`)));
      if (!items.length) items.push(el("li", { class: "soft" }, empty));
      return items;
    };
    const lines = (count, tall, inwards) => {
      const at = (place) => (tall - count * HEIGHT - (count - 1) * GAP) / 2 + place * (HEIGHT + GAP) + HEIGHT / 2;
      const curve = (y) => { const [a, b] = inwards ? [y, tall / 2] : [tall / 2, y]; return `M0 ${a}C${WIDTH / 2} ${a} ${WIDTH / 2} ${b} ${WIDTH} ${b}`; };
      return el("svg:svg", { width: WIDTH, height: tall, "aria-hidden": "true" }, Array.from({ length: count }, (_, place) => el("svg:path", { d: curve(at(place)) })));
    };
    const draw = () => {
      const from = boxes("from", one.logged_by, "by nobody known here"), to = boxes("to", one.used_by, "by no run known here");
      const tall = Math.max(from.length, to.length) * (HEIGHT + GAP) - GAP;
      fill(place,
        el("div", {}, el("h3", {}, "Logged by"), el("ul", { style: { minHeight: `${tall}px` } }, from)), lines(from.length, tall, true),
        el("div", {}, el("h3", {}, "This version"), el("ul", { style: { minHeight: `${tall}px` } }, el("li", { class: "this" }, wm.name(`${one.name}:${one.version}`)))), lines(to.length, tall, false),
        el("div", {}, el("h3", {}, "Used by"), el("ul", { style: { minHeight: `${tall}px` } }, to)));
    };
    draw();
    return place;
  };

  const draw = (one) => {
    document.title = `${one.name}:${one.version} · wandb-mirror`;
    const address = (version) => wm.address.artifact(one.entity, one.project, one.type, one.name, version);
    const choose = el("select", { "aria-label": "Version", onchange: () => location.assign(address(choose.value)) }, one.versions.map((each) => el("option", { value: each, selected: each === one.version }, each)));
    const fact = (label, value) => (value ? [el("dt", {}, label), el("dd", {}, value)] : null);
    const files = el("div");
    wm.files(files, one.files.map((file) => ({ ...file, name: file.path, kind: file.ref ? "reference" : file.kind || "other", reason: file.reason || (file.ref ? `a reference to ${file.ref}` : null) })));
    fill(main,
      el("header", { class: "part head" },
        el("div", { class: "row" }, el("h1", {}, wm.name(`${one.name}:${one.version}`)), one.versions.length > 1 ? choose : null),
        el("div", { class: "under" }, el("span", { class: "soft" }, wm.name(one.type)), one.aliases.length ? wm.tags(one.aliases) : null,
          one.state && one.state !== "COMMITTED" ? el("span", { class: "mark warn" }, one.state.toLowerCase()) : null)),
      el("div", { class: "overview" },
        el("section", { class: "part facts" }, el("h2", {}, "Facts"), el("dl", { class: "facts" },
          fact("Project", wm.link(wm.address.project(one.entity, one.project), `${one.entity}/${one.project}`)), fact("Size", wm.bytes(one.size)),
          fact("Files", wm.number(one.file_count)), fact("Created", wm.time(one.created_at)), fact("Digest", one.digest ? wm.name(one.digest, { class: "mono" }) : null))),
        el("div", { class: "rest" },
          one.description ? wm.section("Description", el("p", { class: "prose" }, one.description)) : null,
          wm.section("Lineage", lineage(one)),
          one.metadata && Object.keys(one.metadata).length ? wm.section("Metadata", wm.tree(one.metadata, { label: "metadata" })) : null,
          wm.section("Files", files))));
  };

  wm.get("artifact", { entity, project, name, version, type }).then(draw, (error) => fill(main, el("h1", {}, wm.name(`${name}:${version}`)), wm.trouble(error)));
})();
