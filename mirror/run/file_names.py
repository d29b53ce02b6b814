"""Which files a run has: those that the server listed, with those that are queued, without those whose deletion is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mirror.records.operations import DeleteFile, UploadFile
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
    listed = listed_names(run, queued, [storable(name) for name in names] or None)
    if pattern:
        matches = like(storable(pattern))
        return [name for name in listed if matches(name)]
    return listed


def listed_names(run: RunFacts, queued: Mapping[str, Pending | None], among: Sequence[str] | None = None) -> list[str]:
    """Names of the files as they will be, sorted.

    Args:
        run: whose.
        queued: see `queued_files`.
        among: only these; None for all.

    Raises:
        NotMirrored: the pull could not list them.
    """
    listed = set(list_file_names(run._local.reader, run._run_path, among))
    added = {name for name, item in queued.items() if item is not None and (among is None or name in among)}
    knows = bool(listed) or (among is not None and added.issuperset(among))
    if not knows and (error := not_held(run, "files of {} are", "files", "files")) is not None:
        raise error
    hidden = {name for name, item in queued.items() if item is None}
    return sorted((listed | added) - hidden)
