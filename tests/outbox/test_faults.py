"""Whatever call of the file system fails: the caller gets an error or what was asked for; never both, never neither."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.errors import EntryUnflushed, HomeUnusable, StoreError
from mirror.layout import Home
from mirror.outbox import Aside, Outbox, Placed
from mirror.outbox.folders import STATES
from mirror.records.operations import Entry, EntryState, Operation
from tests.outbox.failing import Disk, every_fault
from tests.outbox.operations import RUNS, edit, upload

RUN = RUNS[0]


def contents(home: Home) -> list[Placed]:
    """What another process sees."""
    told: list[Aside] = []
    placed = list(Outbox(home, told.append).entries())
    assert not told
    return placed


def fails(disk: Disk, act: Callable[[], object]) -> StoreError | None:
    """Do it on this disk; the error, if there was one."""
    try:
        with disk.failing():
            act()
    except StoreError as error:
        assert disk.has_failed
        if type(error) is HomeUnusable:
            assert disk.code == errno.ENOSPC
        return error
    return None


@pytest.fixture
def base(fast_path: Path) -> Home:
    """An outbox to begin with; each fault gets a copy of it."""
    return Home(fast_path / "base")


@pytest.mark.parametrize("operation", [edit("m2", "key", after="m1"), upload("m2")], ids=["edit", "upload"])
@pytest.mark.parametrize("before", [[], [upload("m1")], [edit("m1", "key")]], ids=["empty", "after another", "folded"])
def test_an_enqueue_that_fails_leaves_no_entry_and_one_that_returns_leaves_it_whole(
    fast_path: Path, base: Home, before: list[Operation], operation: Operation
) -> None:
    base.root.mkdir()
    for earlier in before:
        Outbox(base).put(RUN, "s", earlier)
    was = contents(base)
    for number, disk in enumerate(every_fault()):
        home = Home(fast_path / str(number))
        shutil.copytree(base.root, home.root)
        outbox = Outbox(home)
        put: list[Entry] = []
        error = fails(disk, lambda outbox=outbox, put=put: put.append(outbox.put(RUN, "s", operation)))  # type: ignore[misc]
        assert (error is None) == bool(put), disk.calls
        if error is not None:
            assert contents(home) == was, disk.calls
            assert not list((home.outbox / "tmp").glob("*")), disk.calls
            put.append(outbox.put(RUN, "s", operation))  # the same object goes on when the disk is well again
        folded = bool(was) and put[0].id == was[0].entry.id
        assert contents(home) == ([] if folded else was) + [Placed("new", put[0])], disk.calls
        cannot_be_read = error is None and disk.has_failed  # the entry before it: this edit is one of its own then
        assert (
            folded == (before == [edit("m1", "key")] and operation == edit("m2", "key", after="m1")) or cannot_be_read
        )


@pytest.mark.parametrize("before", [[], [edit("m1", "key")]], ids=["new", "folded"])
def test_a_disk_that_stays_broken_leaves_no_entry_or_says_that_it_may_be_there(
    fast_path: Path, base: Home, before: list[Operation]
) -> None:
    base.root.mkdir()
    for earlier in before:
        Outbox(base).put(RUN, "s", earlier)
    was = contents(base)
    unflushed = 0
    for number, disk in enumerate(every_fault(forever=True)):
        home = Home(fast_path / str(number))
        shutil.copytree(base.root, home.root)
        outbox = Outbox(home)
        error = fails(disk, lambda outbox=outbox: outbox.put(RUN, "s", edit("m2", "key", after="m1")))  # type: ignore[misc]
        there = contents(home)
        assert (there == was) == (error is not None and not isinstance(error, EntryUnflushed)), disk.calls
        assert len(there) == max(len(was), there != was)
        unflushed += isinstance(error, EntryUnflushed)
        with outbox.replaying():
            assert contents(home) == there
        assert not list((home.outbox / "tmp").iterdir())
    assert unflushed


TRANSITIONS: dict[str, tuple[EntryState, EntryState | None, Callable[[Outbox, Entry], object]]] = {
    "claim": ("new", "claimed", lambda outbox, entry: outbox.claim(entry)),
    "put_back": ("claimed", "new", lambda outbox, entry: outbox.put_back(entry, "later")),
    "put_back unbegun": ("claimed", "new", lambda outbox, entry: outbox.put_back(entry)),
    "bury": ("claimed", "dead", lambda outbox, entry: outbox.bury(entry, "no")),
    "hold": ("claimed", "conflict", lambda outbox, entry: outbox.hold(entry, "moved")),
    "finish": ("claimed", None, lambda outbox, entry: outbox.finish(entry)),
    "retry": ("dead", "new", lambda outbox, entry: outbox.retry(entry)),
    "resolve": ("conflict", "new", lambda outbox, entry: outbox.resolve(entry, "ours")),
    "drop": ("conflict", None, lambda outbox, entry: outbox.drop(entry)),
}


def entry_in(home: Home, state: EntryState) -> Entry:
    """An outbox whose only entry is in this state."""
    outbox = Outbox(home)
    entry = outbox.put(RUN, "s", edit("m"))
    if state != "new":
        claimed = outbox.claim(entry)
        assert claimed is not None
        entry = claimed
    if state == "dead":
        entry = outbox.bury(entry, "no")
    if state == "conflict":
        entry = outbox.hold(entry, "moved")
    return entry


@pytest.mark.parametrize("forever", [False, True], ids=["once", "stays broken"])
@pytest.mark.parametrize("name", TRANSITIONS)
def test_a_transition_that_fails_leaves_the_entry_whole_where_it_was(
    fast_path: Path, base: Home, name: str, forever: bool
) -> None:
    source, target, act = TRANSITIONS[name]
    entry = entry_in(base, source)
    for number, disk in enumerate(every_fault(forever=forever)):
        home = Home(fast_path / str(number))
        shutil.copytree(base.root, home.root)
        outbox = Outbox(home)
        error = fails(disk, lambda outbox=outbox: act(outbox, entry))  # type: ignore[misc]
        placed = contents(home)
        if error is None and name == "claim" and placed and placed[0].state == "new":
            assert disk.has_failed  # an entry that cannot be read now is not claimed, and waits
        else:
            expected = [source] if error is not None else [target] if target else []
            assert [one.state for one in placed] == expected, disk.calls
        assert all(one.entry.operation == entry.operation and one.entry.id == entry.id for one in placed)
        if error is None and target in {"dead", "conflict"}:
            assert placed[0].entry.reason


def test_a_recovery_that_fails_can_be_repeated_and_loses_nothing(fast_path: Path, base: Home) -> None:
    outbox = Outbox(base)
    for run in RUNS:
        outbox.put(run, "s", edit("m"))
        outbox.put(run, "s", upload("u"))
    for placed in list(outbox.entries())[:4]:
        assert outbox.claim(placed.entry)
    (base.outbox / "tmp" / "rest").write_bytes(b"{")
    ids = [placed.entry.id for placed in contents(base)]
    for number, disk in enumerate(every_fault()):
        home = Home(fast_path / str(number))
        shutil.copytree(base.root, home.root)
        fails(disk, Outbox(home).recover)
        assert [placed.entry.id for placed in contents(home)] == ids
        Outbox(home).recover()
        assert Outbox(home).counts()["new"] == len(ids)
        assert not list((home.outbox / "tmp").iterdir())


def test_a_listing_on_a_failing_disk_is_whole_or_says_what_it_leaves_out(base: Home) -> None:
    for mark in ("a", "b", "c"):
        Outbox(base).put(RUN, "s", upload(mark))
    whole = contents(base)
    for disk in every_fault():
        told: list[Aside] = []
        listed: list[Placed] = []
        error = fails(disk, lambda told=told, listed=listed: listed.extend(Outbox(base, told.append).entries()))  # type: ignore[misc]
        assert error is not None or len(listed) + len(told) == len(whole)
        assert contents(base) == whole
        assert Outbox(base).counts() == {state: len(whole) if state == "new" else 0 for state in STATES}
