"""Queue what changes of a version's aliases and tags, filed under a run that logged or used it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from mirror.errors import CommError
from mirror.records.operations import EditArtifact
from mirror.run.pending.local import LocalMirror
from mirror.store.engine.queries import Queryable
from mirror.store.read.artifacts import VersionRow, runs_of_version
from mirror.store.read.runs import read_run
from mirror.texts.typed_paths import in_shell

_NOT_IN_ALIASES = re.compile(r"[/:]")
_VERSION = re.compile(r"v\d+")
_TAG = re.compile(r"[-\w]+( +[-\w]+)*")


def queue_marks(
    local: LocalMirror,
    lake: Queryable,
    row: VersionRow,
    *,
    add_aliases: Iterable[str] = (),
    remove_aliases: Iterable[str] = (),
    add_tags: Iterable[str] = (),
    remove_tags: Iterable[str] = (),
) -> bool:
    """Queue what is not so yet.

    Args:
        local: the mirror.
        lake: of it.
        row: the version, with what is queued of it.
        add_aliases: that it shall have.
        remove_aliases: that it shall no longer have.
        add_tags: the same for tags.
        remove_tags: the same for tags.

    Returns:
        Whether anything was queued.

    Raises:
        CommError: no run of this mirror logged or used the version; nothing was queued.
        ValueError: W&B takes no such alias, or no such tag.
        HomeUnusable: nothing was queued.
    """
    name = f"{row.entity}/{row.project}/{row.sequence}:v{row.version_index}"
    edit = EditArtifact(
        artifact_id=row.artifact_id,
        name=name,
        type=row.type,
        add_aliases=tuple(alias for alias in checked_aliases(add_aliases) if alias not in row.aliases),
        remove_aliases=tuple(alias for alias in dict.fromkeys(remove_aliases) if alias in row.aliases),
        add_tags=tuple(tag for tag in checked_tags(add_tags) if tag not in row.tags),
        remove_tags=tuple(tag for tag in dict.fromkeys(remove_tags) if tag in row.tags),
    )
    if edit.is_empty:
        return False
    runs = runs_of_version(lake, row.artifact_id, "logged") or runs_of_version(lake, row.artifact_id, "used")
    if not runs:
        raise CommError(
            f"{name} cannot be changed here: no run of this mirror logged or used it",
            hint=f"`wandb-mirror pull --source {in_shell(row.entity or '', row.project or '')}` fetches them",
        )
    held = read_run(lake, runs[0])
    local.enqueue(runs[0], held[0].storage_id or None if held is not None else None, edit)
    return True


def checked_aliases(aliases: Iterable[Any]) -> Sequence[str]:
    """Aliases, each once.

    Raises:
        ValueError: W&B takes no such alias; in the SDK's words where it has some.
    """
    given = list(dict.fromkeys(aliases))
    if any(not isinstance(alias, str) or not alias for alias in given):
        raise ValueError("aliases are texts, and not empty")
    if any(_NOT_IN_ALIASES.search(alias) for alias in given):
        raise ValueError("Aliases must not contain any of the following characters: '/', ':'")
    if reserved := [alias for alias in given if _VERSION.fullmatch(alias)]:
        raise ValueError(f"{reserved[0]!r} is the name of a version, which W&B gives itself")
    return given


def checked_tags(tags: Iterable[Any]) -> Sequence[str]:
    """Tags, each once.

    Raises:
        ValueError: W&B takes no such tag; in the SDK's words.
    """
    given = list(dict.fromkeys(tags))
    if any(not isinstance(tag, str) or not _TAG.fullmatch(tag) for tag in given):
        raise ValueError(
            "Invalid tag(s).  Tags must only contain alphanumeric characters separated by hyphens, underscores, and/or"
            " spaces."
        )
    return given
