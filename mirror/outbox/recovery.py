"""What a killed process leaves in an outbox, and how it is put in order."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from mirror.durable import Unflushed, move
from mirror.outbox.folders import STATES, Aside, Folders, read_entry
from mirror.outbox.names import is_name
from mirror.records.operations import Entry, EntryState, encode_entry


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What was put in order."""

    put_back: int = 0  # entries that a killed replay had claimed
    removed: int = 0  # rests of writes that were never acknowledged
    taken_in: int = 0  # files that had been set aside and are entries to this version
    doubles: int = 0  # copies of an entry that lay in a second folder, set aside


def recover(folders: Folders) -> Recovered:
    """Put an outbox in order. Nobody else may be replaying.

    Raises:
        OSError: the disk failed; it can be called again.
    """
    asides: list[Aside] = []
    with folders.changing() as lock:  # whoever writes into tmp/ holds this lock, so that what is there now is nobody's
        removed = _remove_rests(folders)
        doubles = _separate(folders)
        taken_in = _take_in(folders)
        if taken_in:
            os.ftruncate(lock, 0)  # whoever remembers the last entry of a run must look again
        put_back = _put_back(folders, asides)
    for aside in asides:
        folders.told(aside)
    return Recovered(put_back=put_back, removed=removed, taken_in=taken_in, doubles=doubles)


def _put_back(folders: Folders, asides: list[Aside]) -> int:
    """Let what was claimed wait again. Its delivery may have been begun, which counts as an attempt."""
    count = 0
    for name in list(folders.names("claimed")):
        match folders.try_load("claimed", name):
            case Entry() as entry:
                path = folders.path("claimed", name)
                temporary = folders.write(encode_entry(msgspec.structs.replace(entry, attempts=entry.attempts + 1)))
                temporary.replace(path)
                with contextlib.suppress(Unflushed):
                    move(path, folders.path("new", name))
                count += 1
            case Aside() as aside:
                if aside.moved:
                    folders.move_aside("claimed", name)
                asides.append(aside)
    return count


def _remove_rests(folders: Folders) -> int:
    rests = list(folders.tmp.iterdir())
    for rest in rests:
        rest.unlink()
    return len(rests)


def _separate(folders: Folders) -> int:
    """An entry in two folders (a backup that was copied back) stays in the one that `STATES` names first."""
    doubles = 0
    others: tuple[EntryState, ...] = ("claimed", "conflict", "dead")  # few; each is looked for among the many in new/
    for state in others:
        for name in [name for name in folders.names(state) if is_name(name)]:
            for second in STATES[STATES.index(folders.place(name) or state) + 1 :]:
                if folders.path(second, name).exists():
                    folders.move_aside(second, name)
                    doubles += 1
    return doubles


def _take_in(folders: Folders) -> int:
    """Take back what an older version set aside because a newer one, this one, had written it."""
    taken = 0
    for aside in list(folders.aside.iterdir()):
        state, _, name = aside.name.partition("~")
        if not is_name(name) or folders.place(name) is not None:
            continue
        for known in STATES:
            if known == state and _is_entry(aside, name):
                with contextlib.suppress(Unflushed):
                    move(aside, folders.path("new" if known == "claimed" else known, name))
                taken += 1
    return taken


def _is_entry(path: Path, name: str) -> bool:
    try:
        read_entry(path, name)
    except (ValueError, OSError):
        return False
    return True
