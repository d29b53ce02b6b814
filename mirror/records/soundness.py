"""Documents of a run that are no JSON, and times that are none: a server cut them, or never had more.

What comes in place of something sound that is held does not replace it; it is named among the run's flaws, and asked
for again. Where nothing better is held, the server's text is: whoever reads it is told what it is.
"""

from __future__ import annotations

import msgspec

from mirror.records.runs import RunRecord
from mirror.texts.values import is_json

_DOCUMENTS = ("history_keys_text", "config_text", "summary_text", "system_metrics_text")
_TIMES = ("created_at", "heartbeat_at", "updated_at")  # each with its text
_REASONS = dict.fromkeys(_DOCUMENTS, "it is no JSON") | {
    name: "it is no time" for time in _TIMES for name in (time, f"{time}_text")
}


def doubted(run: RunRecord) -> RunRecord:
    """A run as the server told it, with what of it is unsound among its flaws; an empty text is nothing."""
    torn = {name: why for name, why in _REASONS.items() if _text(run, name) and not _is_sound(run, name)}
    return msgspec.structs.replace(run, flaws={**run.flaws, **torn}) if torn else run


def settled(run: RunRecord, told: RunRecord) -> RunRecord:
    """A run that was doubted, with the server's own where nothing better is held.

    Args:
        run: with what is held in place of its flaws.
        told: as the server told it.
    """
    doubts = [name for name, reason in run.flaws.items() if reason == _REASONS.get(name)]
    rest = {name: getattr(told, name) for name in doubts if not _is_sound(run, name)}
    if not rest:
        return run
    flaws = {name: reason for name, reason in run.flaws.items() if name not in rest}
    return msgspec.structs.replace(run, flaws=flaws, **rest)


def _text(run: RunRecord, name: str) -> str | None:
    text: str | None = getattr(run, name if name.endswith("_text") else f"{name}_text")
    return text


def _is_sound(run: RunRecord, name: str) -> bool:
    if name in _DOCUMENTS:
        return is_json(_text(run, name) or "")
    return getattr(run, name.removesuffix("_text")) is not None
