"""What a field of W&B's filters, orders and columns means as SQL over the view `runs`.

Names come from W&B API notes, section 5. Text from a user never becomes SQL: names of columns are ours, and the keys of
config and summary travel as bound JSON pointers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from mirror.errors import ConfigError
from mirror.store.engine.connection import sql_name
from mirror.store.schema.tables import RUNS
from mirror.texts.values import valid_unicode

Kind = Literal["text", "time", "number", "tags", "json"]


@dataclass(frozen=True)
class Fragment:
    """A piece of SQL and the values of its `?` marks, in order. Its texts never hold a user's words."""

    sql: str
    parameters: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunField:
    """A value that every run has, or lacks."""

    name: str  # as it was asked for
    kind: Kind
    value: Fragment  # an expression; SQL NULL where the run lacks the field


RUN_COLUMNS = tuple(column.name for column in RUNS.shown)  # of the view `runs`, for `wandb-mirror runs --columns`

_COLUMNS: dict[str, tuple[Kind, str]] = {
    "createdAt": ("time", "created_at"),
    "created_at": ("time", "created_at"),
    "heartbeatAt": ("time", "heartbeat_at"),
    "heartbeat_at": ("time", "heartbeat_at"),
    "displayName": ("text", "display_name"),
    "display_name": ("text", "display_name"),
    "group": ("text", "group"),
    "jobType": ("text", "job_type"),
    "job_type": ("text", "job_type"),
    "name": ("text", "run_id"),  # W&B's name of a run is its id (section 4)
    "state": ("text", "state"),
    "tags": ("tags", "tags"),
    "username": ("text", "user"),
    "user": ("text", "user"),
    "sweep": ("text", "sweep"),
    "description": ("text", "description"),
    "notes": ("text", "notes"),
    "commit": ("text", "commit"),
    "host": ("text", "host"),
}
_DURATION = '(epoch_us("heartbeat_at") - epoch_us("created_at")) / 1e6'
_UPDATED = ("updatedAt", "updated_at")
_LAST_CHANGE = 'coalesce("updated_at", "heartbeat_at")'

# Prefix of a key → column, and where the keys are in the column's document.
_DOCUMENTS = {
    "config.": ("config", ""),
    "summary_metrics.": ("summary", ""),
    "summaryMetrics.": ("summary", ""),
    "keys_info.keys.": ("history_keys", "/keys"),
}
_MORE_DOCUMENTS = {"summary.": ("summary", ""), "system_metrics.": ("system_metrics", "")}
_KNOWN = (*_COLUMNS, "duration", "updatedAt", "config.KEY", "summary_metrics.KEY", "keys_info.keys.KEY")


def filter_field(name: str) -> RunField:
    """The field that a filter names.

    Raises:
        ConfigError: W&B has no such field, or the mirror does not hold it.
    """
    return _field("filter field", name)


def order_field(name: str) -> RunField:
    """The field that an order names.

    Raises:
        ConfigError: W&B has no such field.
    """
    return _field("order field", name)


def run_expression(field: str) -> Fragment:
    """The SQL expression of a field's value, for `SELECT`.

    Args:
        field: a column of the view `runs`, a field of W&B's filters, or `config.KEY`, `summary.KEY`,
            `system_metrics.KEY`. A dotted KEY is that key, or else the path into nested objects.

    Returns:
        Columns keep their type; what comes out of a document has DuckDB's type JSON.

    Raises:
        ConfigError: there is no such field.
    """
    if field in RUN_COLUMNS:
        return Fragment(sql_name(field))
    found = _column(field) or _document(field, _DOCUMENTS | _MORE_DOCUMENTS)
    if found is None:
        raise _unknown("column", field, (*RUN_COLUMNS, *_KNOWN, "summary.KEY", "system_metrics.KEY"))
    return found.value


def pointer(*keys: str) -> str:
    """A JSON pointer to nested keys. DuckDB reads a key after `/` literally: quotes, dots and blanks are safe."""
    return "".join("/" + valid_unicode(key).replace("~", "~0").replace("/", "~1") for key in keys)


def near_names(name: str, known: Iterable[str]) -> str:
    """A hint: the known names that look like `name`, or all of them."""
    known = sorted(set(known))
    near = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"


def _field(what: str, name: str) -> RunField:
    """A field of a run; where the server does not show `updatedAt`, it is the heartbeat."""
    if name in _UPDATED:
        return RunField(name=name, kind="time", value=Fragment(_LAST_CHANGE))
    found = _column(name) or _document(name, _DOCUMENTS)
    if found is None:
        raise _unknown(what, name, _KNOWN)
    return found


def _column(name: str) -> RunField | None:
    if name == "duration":
        return RunField(name=name, kind="number", value=Fragment(_DURATION))
    if name not in _COLUMNS:
        return None
    kind, column = _COLUMNS[name]
    return RunField(name=name, kind=kind, value=Fragment(sql_name(column)))


def _document(name: str, documents: dict[str, tuple[str, str]]) -> RunField | None:
    prefix = next((prefix for prefix in documents if name.startswith(prefix)), None)
    if prefix is None or name == prefix:
        return None
    column, root = documents[prefix]
    keys = [name.removeprefix(prefix)]
    if column == "config" and keys[0].removesuffix(".value") not in ("", keys[0]):
        keys.append(keys[0].removesuffix(".value"))  # some callers spell W&B's envelope out: config.lr.value
    places = [root + pointer(*parts) for key in keys for parts in ([key], key.split("."))]
    key, envelope, inner = keys[0].partition(".value.")
    if column == "config" and key and envelope:  # config.optimizer.value.lr
        places += [root + pointer(*parts, *inner.split(".")) for parts in ([key], key.split("."))]
    # One parse of the document for all places; the first that exists counts.
    sql = f"list_filter(json_extract({sql_name(column)}, ?::VARCHAR[]), lambda x: x IS NOT NULL)[1]"
    return RunField(name=name, kind="json", value=Fragment(sql, (list(dict.fromkeys(places)),)))


def _unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    return ConfigError(f"{name!r} is not a known {what}", hint=near_names(name, known))
