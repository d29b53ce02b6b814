"""Runs in groups, as W&B's table has them: what they share, how many they are, and figures over each group."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from mirror.errors import ConfigError
from mirror.store.engine.connection import sql_name
from mirror.store.filters.mongo import run_expression
from mirror.store.filters.run_fields import Fragment, near_names
from mirror.store.filters.run_list import RunQuery, condition

RUNS_VIEW, ALL_RUNS = Fragment("runs"), Fragment("TRUE")
COUNT = "runs"  # column with the number of runs of a group
_FIGURES = {"mean": "avg", "min": "min", "max": "max", "median": "median", "std": "stddev_samp"}
_SHOWN = ("mean", "min", "max")  # of a field that is named alone
_NUMBERS = ("duration", "history_line_count")  # of the fields outside of documents
_ASKED = re.compile(rf"({'|'.join(_FIGURES)})\((.+)\)")


class _Figure(NamedTuple):
    name: str  # of the figure
    field: str

    @property
    def heading(self) -> str:
        return f"{self.name}({self.field})"


def run_groups_sql(
    query: RunQuery, by: tuple[str, ...], *, relation: Fragment = RUNS_VIEW, also: Fragment = ALL_RUNS
) -> tuple[str, list[Any]]:
    """The SQL text over the view `runs`, and the values for its marks: a row for each group.

    Columns are the fields that it is grouped by, the number of runs, and figures: `mean(FIELD)`, `min`, `max`,
    `median`, `std` (of a sample). A field that is named alone has its mean, minimum and maximum. Figures are of the
    finite numbers; a group without one has null.

    Args:
        query: which runs; its columns are the figures, its order a column with a sign before it (None: most runs
            first).
        by: fields.
        relation: runs as the view has them, where that is not at hand.
        also: a condition that they meet as well.

    Raises:
        ConfigError: a field or the order is unknown; the message names it.
    """
    if not by:
        raise ConfigError("no field to group by is named", hint="such as --group-by config.lr,state")
    figures = [figure for column in query.columns if column not in by for figure in _figures(column)]
    fields = list(dict.fromkeys(figure.field for figure in figures))
    inner = [_aliased(run_expression(name), f"g{place}") for place, name in enumerate(by)]
    inner += [_aliased(_number(run_expression(name)), f"f{place}") for place, name in enumerate(fields)]
    chosen = condition(query)
    outer = [f"g{place} AS {sql_name(name)}" for place, name in enumerate(by)]
    outer.append(f"count(*) AS {sql_name(COUNT)}")
    outer += [f"{_FIGURES[name]}(f{fields.index(field)}) AS {sql_name(f'{name}({field})')}" for name, field in figures]
    text = (
        f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(part.sql for part in inner)} FROM {relation.sql}"
        f" WHERE {chosen.sql} AND {also.sql})"
        f" GROUP BY {', '.join(f'g{place}' for place in range(len(by)))}"
        f" ORDER BY {_order(query.order, by, figures)}"
    )
    parameters = [value for part in (*inner, relation, chosen, also) for value in part.parameters]
    if query.limit is not None:
        return f"{text} LIMIT ?", [*parameters, query.limit]
    return text, parameters


def _figures(column: str) -> list[_Figure]:
    found = _ASKED.fullmatch(column)
    field = found[2] if found else column
    run_expression(field)  # refuses what there is not
    if "." not in field and field not in _NUMBERS:
        raise ConfigError(f"{field!r} is no number, of which a group has figures", hint="name it in --group-by")
    return [_Figure(name, field) for name in ((found[1],) if found else _SHOWN)]


def _number(value: Fragment) -> Fragment:
    """A field's finite number; null where it is none, as a text that holds digits is none."""
    kept = (
        "CASE WHEN json_type(x) IN ('BIGINT', 'UBIGINT', 'DOUBLE') THEN"
        " TRY_CAST(json_extract_string(x, '$') AS DOUBLE) END"
    )
    number = f"list_transform([to_json({value.sql})], lambda x: {kept})[1]"
    return Fragment(f"list_filter([{number}], lambda y: isfinite(y))[1]", value.parameters)


def _aliased(value: Fragment, name: str) -> Fragment:
    return Fragment(f"{value.sql} AS {name}", value.parameters)


def _order(order: str | None, by: tuple[str, ...], figures: list[_Figure]) -> str:
    """Terms of `ORDER BY`; ties go by the groups."""
    ties = [f"g{place} ASC NULLS FIRST" for place in range(len(by))]
    if order is None:
        return ", ".join([f"{sql_name(COUNT)} DESC", *ties])
    name = order.strip().lstrip("+-").strip()
    known = [*by, COUNT, *(figure.heading for figure in figures)]
    if name not in known:
        raise ConfigError(f"{name!r} is no column of these groups", hint=near_names(name, known))
    direction = "DESC NULLS LAST" if order.strip().startswith("-") else "ASC NULLS FIRST"
    return ", ".join([f"{sql_name(name)} {direction}", *ties])
