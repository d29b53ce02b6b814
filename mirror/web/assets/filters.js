// What of the runs is shown: words to search for, and filters as chips or as the JSON that W&B's API takes.
"use strict";

(() => {
  const SIGNS = { $eq: "=", $ne: "≠", $lt: "<", $lte: "≤", $gt: ">", $gte: "≥", $regex: "contains", $in: "in" };
  const OPERATORS = ["$eq", "$ne", "$lt", "$lte", "$gt", "$gte", "$regex"];
  // Columns of the listing have W&B's names in filters, where these differ.
  const fieldOf = (column) => (column === "run_id" ? "name" : column.replace(/^summary\./, "summary_metrics."));
  const columnOf = (field) => (field === "name" ? "run_id" : field.replace(/^summary_metrics\./, "summary."));
  wm.filterField = fieldOf;

  const literal = (text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  const unliteral = (pattern) => pattern.replace(/\\([\\^$.*+?()[\]{}|])/g, "$1");

  // Filters that all have to hold, as one: `{"$and": [...]}`, the only one, or null.
  wm.allOf = (...filters) => {
    const parts = filters.filter((each) => each && Object.keys(each).length);
    return parts.length > 1 ? { $and: parts } : parts[0] || null;
  };

  // The conditions of filters, each to be a chip: [{field, operator, value}], or {json} where it is more than that.
  const conditions = (filters) => {
    if (!filters || typeof filters !== "object") return [];
    return Object.entries(filters).flatMap(([field, value]) => {
      if (field === "$and" && Array.isArray(value)) return value.flatMap(conditions);
      if (field.startsWith("$")) return [{ json: { [field]: value } }];
      if (value === null || typeof value !== "object" || Array.isArray(value)) return [{ field, operator: "$eq", value }];
      const all = Object.entries(value);
      if (!all.every(([operator]) => operator in SIGNS)) return [{ json: { [field]: value } }];
      return all.map(([operator, operand]) => ({ field, operator, value: operand }));
    });
  };
  const toFilter = ({ json, field, operator, value }) => json || { [field]: operator === "$eq" ? value : { [operator]: value } };
  const toFilters = (list) => wm.allOf(...list.map(toFilter));

  const valueText = ({ operator, value }) => {
    if (operator === "$regex") return unliteral(String(value));
    if (operator === "$in" && Array.isArray(value)) return value.join(", ");
    return value === null ? "none" : typeof value === "object" ? JSON.stringify(value) : String(value);
  };
  // What was typed, as the column has its values.
  const typed = (text, type) => {
    if (type === "text") return text;
    if (text === "true" || text === "false") return text === "true";
    return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
  };

  // The search box and the chips.
  //   project; base: a filter that always holds; columns(): those of the project; filters, search: to begin with
  //   onchange({filters, search})
  // Returns {set({filters, search})}.
  wm.filters = (host, options) => {
    let filters = options.filters || null, search = options.search || "";
    const changed = () => options.onchange({ filters, search });
    const apply = (list) => {
      filters = toFilters(list);
      show();
      changed();
    };

    const searched = wm.later(250, changed);
    const label = { placeholder: "Search runs…", "aria-label": "Search in names, notes, tags and values" };
    const box = wm.el("input", { type: "search", ...label, value: search, oninput: () => {
      search = box.value.trim();
      searched();
    } });
    const chips = wm.el("span", { class: "filters" });
    host.append(box, chips);

    // Builds one condition: a column, an operator, a value; common values of the column are offered.
    const build = (place) => (menu) => {
      const list = conditions(filters), before = place === null ? { field: "", operator: "$eq", value: "" } : list[place];
      const names = wm.el("datalist", { id: "filter-columns" },
        options.columns().slice(0, 2000).map(({ name }) => wm.el("option", { value: name })));
      const values = wm.el("datalist", { id: "filter-values" });
      const column = wm.el("input",
        {
          value: columnOf(before.field), list: "filter-columns", required: true, autocomplete: "off", spellcheck: "false",
          placeholder: "config.lr"
        });
      const operator = wm.el("select", {},
        [...new Set([...OPERATORS, before.operator])].map((name) => wm.el("option",
          { value: name, selected: name === before.operator }, SIGNS[name])));
      const value = wm.el("input",
        { value: place === null ? "" : valueText(before), list: "filter-values", autocomplete: "off", spellcheck: "false" });
      const suggest = async () => {
        const known = options.columns().find(({ name }) => name === column.value);
        wm.fill(values);
        if (!known || (known.kind !== "fact" && known.type === "number" && known.runs > 1000)) return;
        try {
          const found = await wm.get("groups",
            { project: options.project, filters: options.base, by: [known.name], columns: [] });
          wm.fill(values,
            found.rows.slice(0, 100).filter((row) => row[0] !== null).map((row) => wm.el("option",
              { value: String(row[0]).slice(0, 200) })));
        } catch { /* nothing is offered, anything can be typed */ }
      };
      column.addEventListener("change", suggest);
      if (place !== null) suggest();
      const form = wm.el("form", { class: "row", onsubmit: (event) => {
        event.preventDefault();
        const type = options.columns().find(({ name }) => name === column.value.trim())?.type;
        const text = value.value, isIn = operator.value === "$in";
        const plain = isIn ? text.split(",").map((part) => typed(part.trim(), type)) : typed(text, type);
        const wish = operator.value === "$regex" ? literal(text) : plain;
        const next = { field: fieldOf(column.value.trim()), operator: operator.value, value: wish };
        wm.closeMenu(true);
        apply(place === null ? [...list, next] : list.map((each, at) => (at === place ? next : each)));
      } },
      wm.el("label", { class: "field" }, "Column", column), wm.el("label", { class: "field" },
        "Condition", operator), wm.el("label", { class: "field" }, "Value", value),
      names, values, wm.el("button", { class: "main", style: { alignSelf: "end" } }, place === null ? "Add" : "Change"));
      menu.append(form);
    };

    // The filter as JSON; what is wrong with it stands below it.
    const editJson = (menu) => {
      const text = wm.el("textarea",
        {
          class: "mono", rows: 9, spellcheck: "false", "aria-describedby": "filter-wrong",
          placeholder: '{"config.lr": {"$gt": 0.01}}', style: { width: "min(520px, calc(100vw - 40px))" }
        });
      text.value = filters ? JSON.stringify(filters, null, 2) : "";
      const wrong = wm.el("div", { id: "filter-wrong", role: "alert" });
      const refuse = (error) => {
        text.setAttribute("aria-invalid", "true");
        wm.fill(wrong, wm.trouble(error));
      };
      menu.append(wm.el("form", { onsubmit: async (event) => {
        event.preventDefault();
        let next = null;
        try {
          next = text.value.trim() ? JSON.parse(text.value) : null;
        } catch (error) {
          return refuse({ message: "This is not JSON: " + error.message });
        }
        try {
          await wm.get("runs", { project: options.project, filters: wm.allOf(options.base, next), columns: [], limit: 1 });
        } catch (error) {
          return refuse(error);
        }
        wm.closeMenu(true);
        apply([{ json: next || {} }]);
      }, onkeydown: (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit();
      } },
      wm.el("label", { class: "field" }, "Filter, as wandb.Api().runs takes it", text), wrong,
      wm.el("div", { class: "actions", style: { marginTop: "8px" } }, wm.el("button", { type: "button", onclick: () => {
        text.value = "";
        text.focus();
      } }, "Empty"), wm.el("button", { class: "main" }, "Apply"))));
    };

    const jsonButton = () => wm.menuButton("{ }",
      "Filter as JSON", editJson, { title: "Filter as JSON", "aria-label": "Filter as JSON" });
    const show = () => {
      const list = conditions(filters);
      wm.fill(chips, list.map((each, place) => {
        const cut = (name, text) => wm.el(name, { class: "cut" }, text);
        const text = each.json
          ? cut("code", JSON.stringify(each.json))
          : [
            cut("bdi", columnOf(each.field)), wm.el("span", { class: "sign" }, SIGNS[each.operator]),
            cut("bdi", valueText(each))
          ];
        return wm.el("span", { class: "chip" },
          wm.menuButton(text,
            "Filter", each.json ? editJson : build(place),
            { title: JSON.stringify(each.json || { [each.field]: { [each.operator]: each.value } }) }),
          wm.el("button",
            {
              type: "button", "aria-label": "Remove this filter", title: "Remove this filter",
              onclick: () => apply(list.filter((_, at) => at !== place))
            },
            "×"));
      }), wm.menuButton("+ Filter", "New filter", build(null)), jsonButton());
    };
    show();
    return {
      set: (next) => {
        ({ filters, search } = next);
        if (box.value.trim() !== search) box.value = search;
        show();
      },
    };
  };
})();
