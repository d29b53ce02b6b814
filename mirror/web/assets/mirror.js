// The page of the mirror itself: its health, what it holds, and the outbox with the decisions that wait for a person.
"use strict";

(() => {
  const { el, fill } = wm;
  const main = document.getElementById("main");
  const AGAIN = 15_000; // milliseconds
  const when = (text) => el("span", { title: text ? wm.time(text) : "" }, wm.ago(text));
  const runLink = (one) => wm.link(wm.address.run(one.entity, one.project, one.run_id), one.run_id, { title: `${one.entity}/${one.project}/${one.run_id}` });

  // --- Health -------------------------------------------------------------------------------------------------------
  const health = (one) => wm.section("Health",
    one.findings.length ? el("ul", { class: "findings" }, one.findings.map(({ sentence, hint }) =>
      el("li", {}, el("span", {}, sentence), hint ? el("span", { class: "hint" }, hint) : null)))
      : el("p", { class: "all-well" }, "Nothing waits for a person."));

  const daemon = ({ daemon: one }) => wm.section("Daemon", one ? [
    el("p", {}, wm.state(one.state), el("span", { class: "soft" }, ` since ${wm.time(one.since)}, process ${one.pid}; said this ${wm.ago(one.updated_at)}`)),
    [one.offline_reason, one.config_error, one.maintenance_error, one.gateway_error].filter(Boolean).map((text) => el("p", { class: "trouble" }, text)),
    el("dl", { class: "facts" }, [["Pulls", one.pulls_good === undefined ? null : `${wm.number(one.pulls_good)} good, ${wm.number(one.pulls_failed)} failed`], ["Requests", wm.number(one.requests)],
      ["Received", wm.bytes(one.bytes_down)], ["Sent", wm.bytes(one.bytes_up)]].filter(([, value]) => value).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    one.workers?.length ? wm.listing("Workers", ["Worker", "State", "Doing"], one.workers.map((worker) => [worker.name, worker.state, wm.name(worker.doing || worker.last_error || "")])) : null,
  ] : wm.nothing("No daemon runs: this mirror changes when somebody pulls."));

  const lags = (one) => wm.section("Sources", one.lags.length ? wm.listing("Sources", ["Source", "Last good pull", "Next", "Trouble"], one.lags.map((lag) => [
    wm.name(lag.path), el("span", { class: lag.late ? "bad" : "" }, when(lag.last_good_at)), lag.pulling ? "pulling now" : wm.time(lag.next_at || lag.due_at), wm.name(lag.last_error || "")])) : wm.nothing("No sources are configured."));

  const projects = (one) => wm.section("Projects", one.projects.length ? wm.listing("Projects",
    ["Project", ...["Runs", "Active", "Gone", "Files", "Bytes", "Incomplete", "Left behind"].map((label) => ({ label, align: "number" })), "Last pull", "Last walk"],
    one.projects.map((each) => [wm.link(wm.address.project(each.entity, each.project), `${each.entity}/${each.project}`),
      ...[each.runs, each.active, each.gone, each.files].map(wm.number), wm.bytes(each.file_bytes),
      ...[each.incomplete, each.failures].map((count) => el("span", { class: count ? "bad" : "soft" }, wm.number(count))),
      each.last_error ? el("span", { class: "bad", title: each.last_error }, when(each.last_pass_at), " · failed since") : when(each.last_pass_at), when(each.last_walk_at)])) : wm.nothing("Nothing is mirrored yet."));

  const KINDS = [["objects", "files, exports, artifacts"], ["lake", "tables"], ["partial", "downloads under way"], ["outbox", "waiting operations"]];
  const disk = ({ disk: used, disk_free: free }) => {
    const parts = KINDS.filter(([name]) => used[name]).map(([name, label]) => ({ name, label, bytes: used[name] }));
    const whole = parts.reduce((sum, { bytes }) => sum + bytes, 0);
    return wm.section("Disk",
      el("div", { class: "disk-bar", role: "img", "aria-label": parts.map(({ label, bytes }) => `${label}: ${wm.bytes(bytes)}`).join(", ") || "empty" },
        parts.map(({ name, bytes }) => el("span", { class: name, style: { flexGrow: String(bytes / Math.max(1, whole)) } }))),
      el("ul", { class: "legend" }, parts.map(({ name, label, bytes }) => el("li", {}, el("span", { class: `swatch ${name}` }), el("b", {}, wm.bytes(bytes)), ` ${label}`)),
        free === null || free === undefined ? null : el("li", { class: "soft" }, `${wm.bytes(free)} free`)));
  };

  const failures = (one) => (one.failures.length ? wm.section("Left behind", wm.listing("Left behind", ["Run", "What", "Why", { label: "Tries", align: "number" }, "Next"], one.failures.map((each) => {
    const path = each.path.split("/");
    return [wm.link(path.length === 3 ? wm.address.run(...path) : null, each.path), wm.name(each.item || "the run"), wm.name(each.reason), wm.number(each.attempts), each.quarantined ? "when asked" : wm.time(each.next_at)];
  }))) : null);
  const lacks = (one) => (one.lacks.length ? wm.section("What the server lacks", wm.listing("What the server lacks", ["What", "What follows"], one.lacks.map(({ capability, without }) => [wm.name(capability), wm.name(without)]))) : null);

  // --- Outbox -------------------------------------------------------------------------------------------------------
  const STATES = [["conflict", "In conflict", "Somebody else changed the same meanwhile: you decide which stays."],
    ["dead", "Refused", "The server did not take these; its words are below."], ["claimed", "Being delivered", null], ["new", "Waiting", "Delivered in order, by the daemon or by replay."]];
  const ACTIONS = { write: "is written", keep: "theirs stays", conflict: "conflict", already_so: "is so already" };
  const DELIVERY = { applied: "would write it", already_so: "would find it so already", theirs: "would leave theirs", buried: "would be refused", held: "would be held as a conflict", waiting: "would have to wait" };

  const valueOf = (side) => (side ? el("code", {}, wm.name(wm.asText(side.value))) : el("span", { class: "soft" }, "absent"));
  const diff = async (place, id) => {
    const { operations, against, why } = await wm.get("diff", { id });
    fill(place, el("p", { class: "told" }, against === "server" ? "Compared with the server as it is now." : `Compared with what the mirror holds${why ? `: ${why}` : ""}.`),
      operations.map(({ outcome, answer, changes }) => [el("p", {}, `A delivery now ${DELIVERY[outcome] || outcome}${answer ? ` (${answer})` : ""}.`),
        changes.length ? wm.listing("Changes", ["What", "As it was seen", "Upstream now", "As it shall be", "Then"], changes.map(({ item, base, upstream, wanted, action }) =>
          [wm.name(item), valueOf(base), valueOf(upstream), valueOf(wanted), el("span", { class: action === "conflict" ? "bad" : "soft" }, ACTIONS[action] || action)])) : null]));
  };

  const decide = async (id, what) => {
    try {
      wm.say((await wm.post("decide", { id, what })).done);
      wm.lookNow();
      await refresh();
    } catch (error) {
      wm.sayError(error);
    }
  };
  const askDrop = (entry) => {
    const dialog = el("dialog", { "aria-labelledby": "drop-title", onclose: () => { dialog.remove(); if (dialog.returnValue === "drop") decide(entry.id, "drop"); } },
      el("form", { method: "dialog" }, el("h2", { id: "drop-title" }, "Give this change up?"), el("p", {}, wm.name(entry.wish)),
        el("p", { class: "soft" }, "It is not delivered to the server", ["edit", "update_state"].includes(entry.kind) ? ", and the mirror shows again what the server has." : "."),
        el("div", { class: "actions" }, el("button", { value: "keep" }, "Keep it"), el("button", { class: "danger", value: "drop" }, "Give it up"))));
    document.body.append(dialog);
    dialog.showModal();
  };

  const shown = new Set(); // ids whose difference is unfolded
  const entryItem = (entry) => {
    const place = el("div", { class: "diff" });
    const show = () => diff(place, entry.id).catch((error) => fill(place, wm.trouble(error)));
    const fold = el("details", { open: shown.has(entry.id), ontoggle: () => {
      shown[fold.open ? "add" : "delete"](entry.id);
      if (fold.open && !place.hasChildNodes()) show();
    } }, el("summary", {}, "What it changes"), place);
    const act = (text, what, says) => el("button", { type: "button", title: says, onclick: () => (what === "drop" ? askDrop(entry) : decide(entry.id, what)), class: what === "drop" ? "danger small" : "small" }, text);
    return el("li", { class: `entry ${entry.state}` },
      el("div", { class: "row" }, el("strong", { class: "wish" }, wm.name(entry.wish.slice(0, 400), { title: entry.wish })), el("span", { class: "soft" }, "of ", runLink(entry), ", asked ", when(entry.created_at),
        entry.attempts ? `, ${wm.plural(entry.attempts, "try", "tries")}` : "", entry.not_before ? `, again at ${wm.time(entry.not_before)}` : "", entry.resolved ? `, decided: ${entry.resolved}` : ""),
        el("span", { class: "push" }), wm.readOnly || entry.state === "claimed" ? null : el("span", { class: "row" },
          entry.state === "dead" ? act("Try again", "retry", "The same change is sent once more") : null, act("Drop …", "drop", "Gives the change up"))),
      entry.reason ? el("p", { class: "reason" }, wm.name(entry.reason)) : null, fold,
      wm.readOnly || entry.state !== "conflict" ? null : el("dl", { class: "decisions" },
        el("dt", {}, act("Mine", "ours", "Mine stays")), el("dd", {}, "Your values overwrite what the server has where both changed."),
        el("dt", {}, act("Theirs", "theirs", "Theirs stays")), el("dd", {}, "What the server has stays where both changed; the rest of your change is delivered.")));
  };
  const outbox = ({ entries, receipts }) => [
    el("h2", {}, "Outbox", el("span", { class: "size" }, entries.length ? wm.plural(entries.length, "change") : "")),
    entries.length ? null : wm.nothing("Everything that was asked is delivered."),
    STATES.map(([state, title, about]) => {
      const some = entries.filter((entry) => entry.state === state);
      return some.length ? [el("h3", {}, `${title} (${wm.number(some.length)})`), about ? el("p", { class: "soft" }, about) : null, wm.some(el("ul", { class: "entries" }), some, entryItem, 100)] : null;
    }),
    receipts.length ? el("details", { class: "receipts", open: receiptsOpen, ontoggle: (event) => { receiptsOpen = event.target.open; } }, el("summary", {}, `Receipts: how ${wm.plural(receipts.length, "change")} ended`),
      wm.listing("Receipts", ["Ended", "Run", "What", "Outcome", "Answer"], receipts.map((one) => [when(one.ended_at), runLink(one), one.kind.replaceAll("_", " "), el("span", { class: one.outcome === "buried" ? "bad" : "" }, one.outcome.replaceAll("_", " ")), wm.name(one.answer || "")]))) : null,
  ];
  let receiptsOpen = false;

  // --- The page -----------------------------------------------------------------------------------------------------
  const parts = [health, lags, projects, disk, daemon, failures, lacks].map((draw) => ({ draw, place: el("div") }));
  const right = el("section", { id: "outbox", class: "part", tabindex: "-1" });
  const status = el("p", { class: "soft" });
  let was = null;
  // What has not changed stays as it is, so that nobody loses a place or what is selected.
  const refresh = async () => {
    const [one, box] = await Promise.all([wm.get("mirror"), wm.get("outbox")]);
    fill(status, el("span", { class: `mark ${one.healthy ? "good" : "bad"}` }, one.healthy ? "healthy" : wm.plural(one.findings.length, "finding")), " ", wm.name(one.home), one.base_url ? [" mirrors ", wm.link(one.base_url, one.base_url)] : null);
    for (const { draw, place } of parts) {
      const drawn = draw(one);
      if (!drawn) fill(place);
      else if (!place.firstChild?.isEqualNode(drawn)) fill(place, drawn);
    }
    const is = JSON.stringify(box);
    if (was !== is) fill(right, outbox(box));
    was = is;
  };
  fill(main, el("header", { class: "part head" }, el("h1", {}, "Mirror"), status), el("div", { class: "mirror" }, el("div", {}, parts.map(({ place }) => place)), right));
  refresh().then(() => {
    if (location.hash === "#outbox") right.scrollIntoView();
    wm.watch(() => refresh().catch(wm.sayError));
    setInterval(() => document.hidden || refresh().catch(() => {}), AGAIN); // the daemon tells news without a commit
  }, (error) => fill(main, el("h1", {}, "Mirror"), wm.trouble(error)));
})();
