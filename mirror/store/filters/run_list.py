"""A listing of runs in W&B's terms as one SQL text: project, filters, order, columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mirror.errors import ConfigError
from mirror.store.engine.connection import sql_name
from mirror.store.filters.mongo import Fragment, compile_filter, compile_order, run_expression

PATH = "entity || '/' || project || '/' || run_id"


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs, in which order, with which columns."""

    project: str | None = None  # `ENTITY/PROJECT`, globs allowed; None: all
    filters: Mapping[str, Any] | None = None  # W&B's Mongo-style object
    order: str | None = None  # `+field` or `-field`
    columns: tuple[str, ...] = ("path",)
    limit: int | None = None
    with_gone: bool = False  # also runs deleted upstream


def run_list_sql(query: RunQuery) -> tuple[str, list[Any]]:
    """The SQL text over the view `runs`, and the values for its marks.

    Raises:
        ConfigError: a field, an operator or a column is unknown; the message names it.
    """
    if not query.columns:
        raise ConfigError("no columns are named", hint="such as path,state,config.lr,summary.loss")
    parameters: list[Any] = []
    selected = []
    for name in query.columns:
        if name == "path":
            selected.append(f"{PATH} AS path")
            continue
        expression = run_expression(name)
        parameters += expression.parameters
        selected.append(f"{expression.sql} AS {sql_name(name)}")
    chosen, order = condition(query), compile_order(query.order)
    parameters += [*chosen.parameters, *order.parameters]
    text = f"SELECT {', '.join(selected)} FROM runs WHERE {chosen.sql} ORDER BY {order.sql}"
    if query.limit is not None:
        text += " LIMIT ?"
        parameters.append(query.limit)
    return text, parameters


def condition(query: RunQuery) -> Fragment:
    """Which runs a query is about, as SQL behind `WHERE`.

    Raises:
        ConfigError: a field or an operator is unknown, or the project is none.
    """
    where, parameters = [] if query.with_gone else ["gone_at IS NULL"], []
    if query.project is not None:
        if "/" not in query.project:
            raise ConfigError(f"a project is ENTITY/PROJECT, got {query.project!r}", hint="ENTITY/* takes all projects")
        where.append("(entity || '/' || project) GLOB ?")
        parameters.append(query.project)
    chosen = compile_filter(query.filters)
    where.append(f"({chosen.sql})")
    return Fragment(" AND ".join(where), (*parameters, *chosen.parameters))
