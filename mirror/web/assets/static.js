// Answers of an export: what a server would be asked for lies in scripts beside the page.
"use strict";

(() => {
  const absent = () => new wm.Refused("this is not part of the export", "`wandb-mirror open` shows all of it");
  const place = wm.settings.place;
  const ofRun = () => wm.keptAnswer(`run-${place}`);

  const asNumber = (value) => (typeof value === "number" ? value : typeof value === "boolean" ? Number(value) : null);
  // Missing values come last, numbers before texts, as the mirror orders them.
  const compare = (left, right, sign) => {
    const missing = (left ?? null) === null ? 1 : 0, also = (right ?? null) === null ? 1 : 0;
    if (missing || also) return missing - also;
    const numbers = [asNumber(left), asNumber(right)];
    if (numbers[0] !== null && numbers[1] !== null) return sign * (numbers[0] - numbers[1]);
    return sign * wm.natural(String(left), String(right));
  };

  const TESTS = {
    $eq: (value, wanted) => value === wanted || (Array.isArray(value) && value.includes(wanted)),
    $ne: (value, wanted) => !TESTS.$eq(value, wanted),
    $gt: (value, wanted) => value > wanted,
    $gte: (value, wanted) => value >= wanted,
    $lt: (value, wanted) => value < wanted,
    $lte: (value, wanted) => value <= wanted,
    $in: (value, wanted) => wanted.some((one) => TESTS.$eq(value, one)),
    $nin: (value, wanted) => !TESTS.$in(value, wanted),
    $regex: (value, wanted) => typeof value === "string" && new RegExp(wanted).test(value),
    $exists: (value, wanted) => ((value ?? null) !== null) === Boolean(wanted),
  };
  const keeps = (filters, valueOf) => Object.entries(filters).every(([name, wanted]) => {
    if (name === "$and") return wanted.every((one) => keeps(one, valueOf));
    if (name === "$or") return wanted.some((one) => keeps(one, valueOf));
    if (name === "$not") return !keeps(wanted, valueOf);
    const value = valueOf(name.replace(/^summary_metrics\./, "summary."));
    if (wanted === null || typeof wanted !== "object" || Array.isArray(wanted)) return TESTS.$eq(value ?? null, wanted);
    return Object.entries(wanted).every(([test, operand]) => {
      if (!(test in TESTS)) throw new wm.Refused(`'${test}' is not known in an export`);
      return TESTS[test](value, operand);
    });
  });

  const listed = async ({ filters, search, order }) => {
    const table = await wm.keptAnswer("runs");
    const places = new Map(table.columns.map((name, at) => [name, at]));
    const valueOf = (row) => (name) => (name === "name" || name === "run_id" ? row.id : row.cells[places.get(name)]);
    const words = (search || "").toLowerCase().split(/\s+/).filter(Boolean);
    const tree = typeof filters === "string" ? JSON.parse(filters || "{}") : filters || {};
    let rows = table.rows.filter((row) => {
      const text = words.length ? JSON.stringify([row.id, row.name, row.cells]).toLowerCase() : "";
      return words.every((word) => text.includes(word)) && keeps(tree, valueOf(row));
    });
    if (order) {
      const sign = order.startsWith("-") ? -1 : 1, name = order.replace(/^[+-]/, "").replace(/^summary_metrics\./, "summary.");
      rows = [...rows].sort((left, right) => compare(valueOf(left)(name), valueOf(right)(name), sign));
    }
    return { table, rows, valueOf };
  };

  const list = (value) => (typeof value === "string" ? JSON.parse(value || "[]") : value || []);

  const ANSWERS = {
    projects: absent,
    columns: () => wm.keptAnswer("columns"),
    runs: async (asked) => {
      const { table, rows, valueOf } = await listed(asked);
      const columns = list(asked.columns), offset = asked.offset || 0, shown = rows.slice(offset, offset + (asked.limit || 100));
      return {
        total: rows.length, all: table.rows.length, offset, columns,
        rows: shown.map((row) => ({ ...row, cells: columns.map(valueOf(row)) })),
      };
    },
    members: async (asked) => {
      const { rows, valueOf } = await listed(asked), groups = {};
      for (const row of rows) {
        const label = list(asked.by).map((name) => { const value = valueOf(row)(name) ?? null; return value === null ? "none" : typeof value === "string" ? value : JSON.stringify(value); }).join(", ");
        (groups[label] ??= []).push(row.id);
      }
      return { groups };
    },
    groups: async (asked) => {
      const by = list(asked.by), columns = list(asked.columns).filter((name) => name.includes(".") || name === "duration");
      const { rows, valueOf } = await listed({ ...asked, order: "" }), groups = new Map();
      for (const row of rows) {
        const key = JSON.stringify(by.map((name) => valueOf(row)(name) ?? null));
        groups.set(key, [...(groups.get(key) || []), row]);
      }
      const figures = (members, name) => {
        const values = members.map((row) => valueOf(row)(name)).filter((value) => typeof value === "number");
        return values.length ? [values.reduce((sum, value) => sum + value, 0) / values.length, Math.min(...values), Math.max(...values)] : [null, null, null];
      };
      const found = [...groups].map(([key, members]) => [...JSON.parse(key), members.length, ...columns.flatMap((name) => figures(members, name))]);
      found.sort((left, right) => right[by.length] - left[by.length]);
      return { columns: [...by, "runs", ...columns.flatMap((name) => ["mean", "min", "max"].map((figure) => `${figure}(${name})`))], rows: found, total: found.length };
    },
    keys: async (asked) => {
      const { runs } = await wm.keptAnswer("keys"), wanted = new Set(list(asked.runs));
      return { keys: Object.entries(runs).map(([key, ids]) => ({ key, runs: ids.filter((id) => wanted.has(id)).length })).filter((one) => one.runs) };
    },
    curves: async (asked) => {
      if ((asked.x || "_step") !== "_step" || asked.groups) throw absent();
      const { places } = await wm.keptAnswer("keys");
      if (!(asked.key in places)) return { key: asked.key, x: "_step", lines: [] };
      const kept = await wm.keptAnswer(`curves-${places[asked.key]}`), wanted = new Set(list(asked.runs));
      const from = asked.from ?? -Infinity, to = asked.to ?? Infinity;
      const lines = kept.lines.filter((line) => wanted.has(line.run)).map((line) => {
        const inside = line.x.map((at, index) => index).filter((index) => line.x[index] >= from && line.x[index] <= to);
        return { ...line, x: inside.map((index) => line.x[index]), y: inside.map((index) => line.y[index]) };
      });
      return { key: kept.key, x: kept.x, lines };
    },
    run: async () => (await ofRun()).run,
    artifacts: async () => (await ofRun()).artifacts,
    files: async () => (await ofRun()).files,
    console: async ({ start = 0, stop }) => {
      const { count, all, lines } = (await ofRun()).console;
      return { count, all, lines: lines.slice(start, stop) };
    },
    media: async ({ key }) => (key ? (await ofRun())[`media?${key}`] : (await ofRun()).media),
    histogram: async ({ key }) => (await ofRun())[`media?${key}`],
    table: async ({ key }) => (key ? (await ofRun())[`media?${key}`] : null),
    system: async ({ key }) => (await ofRun())[`system?${key}`],
  };

  wm.staticAnswer = async (name, asked) => {
    if (!(name in ANSWERS)) throw absent();
    const answer = await ANSWERS[name](asked);
    if (answer === null || answer === undefined) throw absent();
    return answer;
  };
})();
