"""What of a run's history is in the mirror, or why it is not: never an empty answer for what was not fetched."""

from __future__ import annotations

import warnings
from typing import Any

from mirror.errors import NotMirrored
from mirror.records.contents import STILL_ACTIVE
from mirror.run.facts import RunFacts
from mirror.run.not_held import why_not_held
from mirror.store.read.histories import StoredHistory, read_history
from mirror.texts.typed_paths import in_shell


def last_history_step(run: RunFacts) -> int:
    """The last step that was logged, by the server's word; -1 when nothing was.

    Raises:
        CommError: the server's word is not JSON.
    """
    return _last_step(run._document("historyKeys"))


def known_last_step(run: RunFacts) -> int:
    """The same; -1 also when the server's word is not JSON."""
    return _last_step(run._known_document("historyKeys"))


def _last_step(keys: Any) -> int:
    step = keys.get("lastStep") if isinstance(keys, dict) else None
    return int(step) if isinstance(step, int | float) and not isinstance(step, bool) and step == step else -1


def held_history(run: RunFacts, stored: StoredHistory | None = None) -> StoredHistory:
    """Where the values of a run's history are.

    Args:
        run: whose.
        stored: what the lake holds, if that was read already.

    Returns:
        Nothing but for a run that logged nothing. Of a run that goes on, as much as there was at the last pull; where
        more is lacking than that, a warning says what.

    Raises:
        NotMirrored: the server has a history, and nothing of it is here.
    """
    stored = stored or read_history(run._local.reader, run._run_path)
    lacking = lacking_history(run, stored)
    if lacking is not None:
        warnings.warn(f"the history of {_path(run)} is not complete: {lacking}", UserWarning, stacklevel=5)
    return stored


def lacking_history(run: RunFacts, stored: StoredHistory) -> str | None:
    """Why a history is not complete; None for one that is, as far as there was more at the last pull.

    Raises:
        NotMirrored: the server has a history, and nothing of it is here.
    """
    facts = stored.facts
    if facts is None:
        reason = why_not_held(run, "history", "histories by row")
        if last_history_step(run) >= 0 or run._attrs.get("historyLineCount") or (reason and not _tells_none(run)):
            raise _not_mirrored(run, "history", reason)
        return None
    if facts.complete or facts.reason == STILL_ACTIVE:
        return None
    if not facts.rows_held:
        raise _not_mirrored(run, "history", facts.reason)
    return facts.reason


def _tells_none(run: RunFacts) -> bool:
    """Whether the server said that nothing was logged."""
    return run._attrs.get("historyLineCount") == 0 or isinstance(run._known_document("historyKeys"), dict)


def system_metrics_not_mirrored(run: RunFacts) -> NotMirrored | None:
    """What to say of a run without a row of system metrics; None when it measured nothing."""
    reason = why_not_held(run, "system metrics", "system metrics")
    if reason is None and not run._known_document("systemMetrics"):
        return None
    return _not_mirrored(run, "system metrics", reason)


def _not_mirrored(run: RunFacts, what: str, reason: str | None) -> NotMirrored:
    switch = "history" if what == "history" else "streams"
    return NotMirrored(
        f"the {what} of {_path(run)} {'are' if what.endswith('s') else 'is'} not in this mirror"
        + (f": {reason}" if reason else ""),
        hint=f"`wandb-mirror pull {in_shell(*run._run_path)}` fetches it, if its source has {switch} = true",
    )


def _path(run: RunFacts) -> str:
    return str(run._run_path)
