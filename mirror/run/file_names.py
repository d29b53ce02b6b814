"""Which files a run has: those that the server listed, with those that are queued, without those whose deletion is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from mirror.errors import NotMirrored
from mirror.records.operations import DeleteFile, UploadFile
from mirror.records.passes import FILES
from mirror.run.facts import RunFacts
from mirror.run.not_held import not_held
from mirror.run.pending.local import Pending
from mirror.run.sdk.like import like
from mirror.store.read.files import list_file_names
from mirror.texts.values import storable


def queued_files(pending: Iterable[Pending]) -> dict[str, Pending | None]:
    """Queued uploads by name; None for what a queued deletion hides.

    Args:
        pending: of the run, read before the lake: see `LocalMirror.pending`.
    """
    queued: dict[str, Pending | None] = {}
    for item in pending:
        if item.is_shown and isinstance(item.operation, UploadFile):
            queued[storable(item.operation.name)] = item
        elif item.is_shown and isinstance(item.operation, DeleteFile):
            queued[storable(item.operation.name)] = None
    return queued


def selected_names(
    run: RunFacts, queued: Mapping[str, Pending | None], names: Sequence[str], pattern: str | None
) -> list[str]:
    """Names of the files that exact names or a pattern select, sorted; all, where neither is given.

    Raises:
        NotMirrored: the pull could not list them.
    """
    among = [storable(name) for name in names] or None
    listed = list_file_names(run._local.reader, run._run_path, among)
    return chosen_names(listed, queued, among, pattern, partial(files_not_held, run))


def files_not_held(run: RunFacts) -> NotMirrored | None:
    """What to say of a run of which no file is known; None when it has none."""
    return not_held(run, "files of {} are", FILES, "files")


def chosen_names(
    listed: Collection[str],
    queued: Mapping[str, Pending | None],
    among: Collection[str] | None,
    pattern: str | None,
    lacking: Callable[[], NotMirrored | None],
) -> list[str]:
    """The same of names that were read already.

    Args:
        listed: those that the server listed, of `among` or all.
        queued: see `queued_files`.
        among: exact names; None for all.
        pattern: as SQL's LIKE takes it.
        lacking: tells why nothing is held, see `files_not_held`; asked only where nothing is.

    Raises:
        NotMirrored: the pull could not list them.
    """
    held = {name for name in listed if among is None or name in among}
    added = {name for name, item in queued.items() if item is not None and (among is None or name in among)}
    knows = bool(held) or (among is not None and added.issuperset(among))
    if not knows and (error := lacking()) is not None:
        raise error
    shown = sorted((held | added) - {name for name, item in queued.items() if item is None})
    if not pattern:
        return shown
    matches = like(storable(pattern))
    return [name for name in shown if matches(name)]
