// What a run logged beside numbers: images, audio, video and HTML by step, tables, histograms as heat maps.
"use strict";

(() => {
  const { el, fill } = wm;

  const large = (item) => {
    const dialog = el("dialog", { class: "viewer", "aria-label": item.caption || item.name || "Image", onclose: () => dialog.remove(), onclick: (event) => { if (event.target === dialog) dialog.close(); } },
      el("form", { method: "dialog", class: "bar" }, wm.name(item.caption || item.name || ""), el("span", { class: "push" }), el("a", { href: item.url, download: "" }, "Download"), el("button", {}, "Close")),
      el("img", { src: item.url, alt: item.caption || item.name || "" }));
    document.body.append(dialog);
    dialog.showModal();
  };

  // An item of media: what is not held says so.
  wm.mediaItem = (item) => {
    const title = item.caption || item.name || item.kind;
    if (!item.held || !item.url) return el("span", { class: "not-held", title: item.reason || "" }, `${item.kind} not held`);
    const { url } = item;
    if (item.kind === "image") return el("button", { type: "button", class: "thumb", "aria-label": `Enlarge ${title}`, onclick: () => large(item) }, el("img", { src: url, alt: "", loading: "lazy", width: item.width, height: item.height }));
    if (item.kind === "audio") return el("audio", { src: url, controls: true, preload: "none", "aria-label": title });
    if (item.kind === "video") return el("video", { src: url, controls: true, preload: "metadata", "aria-label": title });
    if (item.kind === "html") return el("iframe", { src: url, sandbox: "", loading: "lazy", title });
    return el("a", { href: url, download: "" }, wm.name(item.name || "Download"));
  };

  // A logged table: `source` is {run, key, step?} or {run, file}.
  wm.loggedTable = async (host, source) => {
    const answer = await wm.get("table", source);
    const plain = (value) => (value !== null && typeof value === "object" ? value.text : value);
    const isMedia = (value) => value !== null && typeof value === "object" && value.kind !== "json";
    const place = el("div");
    fill(host, answer.total > answer.rows.length ? el("p", { class: "told" }, `${wm.number(answer.rows.length)} of ${wm.plural(answer.total, "row")}: the first ones`) : el("p", { class: "told" }, wm.plural(answer.total, "row")), place);
    wm.table(place, { label: source.key || source.file, rowHeight: answer.rows.some((row) => row.some(isMedia)) ? 76 : 30, rows: answer.rows, sortable: true,
      columns: answer.columns.map((label, at) => ({ name: String(at), label, title: label, cell: (value) => (isMedia(value) ? wm.mediaItem(value) : wm.cell(plain(value))), width: answer.rows.some((row) => isMedia(row[at])) ? 150 : null, measure: (value) => String(plain(value)).slice(0, 60),
        align: answer.rows.some((row) => row[at] !== null) && answer.rows.every((row) => row[at] === null || typeof row[at] === "number") ? "right" : null })) });
  };

  const byStep = (host, { steps, total }, key) => {
    if (!steps.length) return fill(host, wm.nothing("Nothing is held for this key."));
    const place = el("div", { class: "items" }), told = el("output", { class: "told" });
    const draw = (at) => {
      const { step, items } = steps[at];
      told.textContent = `step ${wm.number(step)} · ${wm.number(at + 1)} of ${wm.plural(steps.length, "step")}${total > steps.length ? ` (of ${wm.number(total)} logged)` : ""}${items.length > 1 ? ` · ${wm.plural(items.length, "item")}` : ""}`;
      wm.some(place, items, (item) => el("figure", { class: item.kind }, wm.mediaItem(item), item.caption ? el("figcaption", {}, wm.name(item.caption)) : null), 60);
    };
    const slider = el("input", { type: "range", min: 0, max: steps.length - 1, step: 1, "aria-label": `Step of ${key}`, oninput: () => draw(Number(slider.value)) });
    slider.value = steps.length - 1;
    fill(host, el("div", { class: "bar" }, steps.length > 1 ? slider : null, told), place);
    draw(steps.length - 1);
  };

  const show = {
    table: (host, run, key) => wm.loggedTable(host, { run, key }),
    histogram: async (host, run, key) => {
      const answer = await wm.get("histogram", { run, key });
      if (answer.total > answer.steps.length) host.append(el("p", { class: "told" }, `${answer.steps.length} of ${wm.plural(answer.total, "step")}, evenly spread`));
      wm.heat(host, answer);
    },
    media: async (host, run, key) => byStep(host, await wm.get("media", { run, key }), key),
  };

  // Everything that a run logged beside numbers. A key is asked for when it comes into view.
  wm.media = async (host, run) => {
    const { keys } = await wm.get("media", { run });
    const known = keys.filter(({ kind }) => kind !== "other"), list = el("div", { class: "media" });
    const seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        seen.unobserve(target);
        const { key, kind } = target.shown;
        (show[kind] || show.media)(target, run, key).catch((error) => fill(target, wm.trouble(error)));
      }
    }, { rootMargin: "200px" });
    const draw = (search) => {
      const wanted = wm.matcher(search), found = known.filter(({ key, kind }) => wanted(`${key} ${kind}`));
      wm.some(list, found, (one) => {
        const place = el("div", { class: "shown" });
        place.shown = one;
        seen.observe(place);
        return el("section", { class: `medium ${one.kind}` }, el("h2", {}, wm.name(one.key), el("span", { class: "size" }, one.kind)), place);
      }, 50);
      if (!found.length) list.append(wm.nothing(known.length ? "No key has these words." : "This run logged numbers only."));
    };
    fill(host, known.length > 6 ? el("div", { class: "bar" }, wm.filterBox("Filter keys", draw), el("span", { class: "told" }, wm.plural(known.length, "key"))) : null, list);
    draw("");
  };
})();
