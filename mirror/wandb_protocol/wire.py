"""Spellings on the wire: JSON inside strings, timestamps, typed ids, the config envelope."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

NonFinite = Literal["bare", "text"]
"""How NaN and infinities are spelled inside a JSONString: as the bare token NaN, or as the string "NaN"."""

Moment = str | datetime | None
"""A time given by a test: wire text kept as it is, a datetime, or None for the clock's now."""


def typed_id(kind: str, *parts: object) -> str:
    """An opaque id: base64 of `Kind:v1:part:...`, the look of W&B's storage ids."""
    return base64.b64encode(":".join([kind, "v1", *map(str, parts)]).encode()).decode()


def typed_parts(opaque: str, kind: str) -> list[str] | None:
    """The parts of an id of `typed_id`; None for one of another kind."""
    try:
        found, version, *parts = base64.b64decode(opaque, validate=True).decode().split(":")
    except ValueError:
        return None
    return parts if (found, version) == (kind, "v1") else None


def number_id(kind: str, number: int) -> str:
    """An opaque id as users, entities, artifacts and files have it: base64 of `Kind:number`, which clients decode."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def timestamp(moment: Moment, now: datetime) -> str:
    """Wire text of a time; without a zone by default, as W&B sends it ("2023-11-05T17:46:35")."""
    if isinstance(moment, str):
        return moment
    value = now if moment is None else moment
    if value.tzinfo is not None:
        value = value.astimezone(UTC)
    return value.strftime("%Y-%m-%dT%H:%M:%S")


def seconds_since_epoch(text: str) -> float | None:
    """The moment of a wire text, a missing zone being UTC; None when it does not parse."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def spell(value: Any, nonfinite: NonFinite = "bare") -> str:
    """JSON text of `value`; non-finite numbers by the given spelling."""
    if nonfinite == "text":
        value = finite(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def finite(value: Any) -> Any:
    """`value` with every non-finite number replaced by its name, which plain JSON scalars need."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def parse_object(text: str | None) -> dict[str, Any]:
    """The object inside a JSONString; {} when there is none or it does not parse."""
    if not text:
        return {}
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def config_envelope(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain config values in W&B's envelope, with the internal `_wandb` entry that every run has."""
    envelope: dict[str, Any] = {key: {"value": value, "desc": None} for key, value in values.items()}
    envelope.setdefault("_wandb", {"value": {"python_version": "3.11", "cli_version": "0.31.0"}, "desc": None})
    return envelope
