"""Aliases and tags that are queued, shown over the versions that are held.

Only operations that are shown count, in the order in which they were asked for. An alias that one gives leaves the
version of the collection that had it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mirror.records.operations import EditArtifact, LogArtifact, with_names
from mirror.run.pending.local import LocalMirror, Waiting
from mirror.store.read.artifacts import VersionRow, find_version, read_versions

Marking = LogArtifact | EditArtifact


def markings(waiting: Waiting) -> list[Marking]:
    """The operations that give versions aliases and tags, or take some away, oldest first."""
    found = [
        (item.id, item.operation)
        for runs in waiting.values()
        for items in runs.values()
        for item in items
        if item.is_shown and isinstance(item.operation, LogArtifact | EditArtifact)
    ]
    return [operation for _, operation in sorted(found, key=lambda pair: pair[0])]


def queued_markings(local: LocalMirror) -> list[Marking]:
    """The same of a mirror; to be asked before the lake, as all that is queued."""
    return markings(local.waiting())


def shown_row(local: LocalMirror, row: VersionRow) -> VersionRow:
    """A version as it is now, with what is queued of it; as it was, where it is no longer held."""
    operations = queued_markings(local)
    held = read_versions(local.reader, [row.artifact_id]).get(row.artifact_id, row)
    return marked(held, operations)


def find_shown(local: LocalMirror, collection: tuple[str, str, str], version: str) -> VersionRow | None:
    """The version `vN` of a collection, or the one that an alias will point to; None when there is none here.

    Args:
        local: the mirror.
        collection: entity, project and name.
        version: `vN` or an alias.
    """
    operations = queued_markings(local)
    given = named_by(operations, "/".join(collection), version)
    rows = [] if given is None else list(read_versions(local.reader, [given]).values())
    held = find_version(local.reader, *collection, version)
    rows += [] if held is None else [held]
    shown = [marked(row, operations) for row in rows]
    return next((row for row in shown if version in (f"v{row.version_index}", *row.aliases)), None)


def marked(row: VersionRow, operations: Iterable[Marking]) -> VersionRow:
    """A version with the aliases and tags that it will have."""
    place = f"{row.entity}/{row.project}/{row.sequence}", row.type
    aliases, tags = row.aliases, row.tags
    for operation in operations:
        if (place_of(operation), operation.type) != place:
            continue
        added = operation.aliases if isinstance(operation, LogArtifact) else operation.add_aliases
        if operation.artifact_id != row.artifact_id:
            aliases = with_names(aliases, (), added)
        elif isinstance(operation, LogArtifact):
            aliases, tags = with_names(aliases, added, ()), with_names(tags, operation.tags, ())
        else:
            aliases = with_names(aliases, added, operation.remove_aliases)
            tags = with_names(tags, operation.add_tags, operation.remove_tags)
    if (aliases, tags) == (row.aliases, row.tags):
        return row
    return msgspec.structs.replace(row, aliases=aliases, tags=tags)


def named_by(operations: Sequence[Marking], place: str, alias: str) -> str | None:
    """The id of the version that got an alias last; None where none did. It may have lost it since.

    Args:
        operations: as of `markings`.
        place: `entity/project/collection`.
        alias: that is looked for.
    """
    for operation in reversed(operations):
        added = operation.aliases if isinstance(operation, LogArtifact) else operation.add_aliases
        if alias in added and place_of(operation) == place:
            return operation.artifact_id
    return None


def place_of(operation: Marking) -> str:
    """`entity/project/collection` of its version."""
    return operation.name.rpartition(":")[0]
