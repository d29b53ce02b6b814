"""Why nothing of a kind is held of a run, so that no answer is empty for what was never fetched."""

from __future__ import annotations

from mirror.errors import NotMirrored
from mirror.records.operations import Create
from mirror.run.facts import RunFacts
from mirror.store.read.failures import why_failed
from mirror.texts.typed_paths import in_shell


def why_not_held(run: RunFacts, item: str, capability: str) -> str | None:
    """Why a pull did not bring something of a run.

    Args:
        run: whose.
        item: what of it, as the pull names its failures.
        capability: what the server needs for it, as in `mirror.records.capabilities`.

    Returns:
        The server's words, or what it lacks. None when it was asked for and nothing failed, so that there is none, and
        for a run that the server does not have yet.
    """
    reason = why_failed(run._local.reader, run._run_path, [item])
    if reason is not None or any(isinstance(operation, Create) for operation in run._seen.operations):
        return reason
    lack = run._local.lack_of(capability)
    return None if lack is None else f"the server {lack.verb} {lack.capability}"


def not_held(run: RunFacts, what: str, item: str, capability: str) -> NotMirrored | None:
    """The error for something of a run of which nothing is held; None when there is none.

    Args:
        run: whose.
        what: in words, with `{}` for the run and the verb: `files of {} are`.
        item: see `why_not_held`.
        capability: see `why_not_held`.
    """
    reason = why_not_held(run, item, capability)
    if reason is None:
        return None
    return NotMirrored(
        f"the {what.format(run._run_path)} not in this mirror: {reason}",
        hint=f"`wandb-mirror pull {in_shell(*run._run_path)}` tries again",
    )
