"""What a sweep searches: its YAML text as values. W&B API notes, section 5; `Sweep.config` and `order` of the SDK."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from mirror.texts.values import dump_strict


class SearchSpace(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep's definition, as far as it can be read."""

    json: str | None  # the whole definition as strict JSON; None when the text is no YAML mapping
    metric: str | None  # key of the summary that the sweep optimises
    goal: str | None  # "minimize" (W&B's default) or "maximize"; None without a metric


def search_space(text: str | None) -> SearchSpace:
    """Read the YAML (or JSON, which is YAML) text of a sweep's config; what cannot be read is left out."""
    try:
        value: Any = yaml.safe_load(text) if text else None
    except (yaml.YAMLError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return SearchSpace(json=None, metric=None, goal=None)
    found = value.get("metric")
    metric: dict[Any, Any] = found if isinstance(found, dict) else {}
    name = metric.get("name")
    if not isinstance(name, str):
        return SearchSpace(json=_json(value), metric=None, goal=None)
    goal = "maximize" if metric.get("goal") == "maximize" else "minimize"
    return SearchSpace(json=_json(value), metric=name, goal=goal)


def _json(value: dict[Any, Any]) -> str | None:
    try:
        return dump_strict(_plain(value))
    except (TypeError, ValueError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    """YAML's dates, sets and odd keys as texts."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
