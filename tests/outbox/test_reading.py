"""What others see: every entry once, also while it moves; what is none of ours is told and kept."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror.errors import ConfigError, HomeBusy, HomeUnusable, NotFound
from mirror.layout import Home
from mirror.outbox import Aside, Outbox
from mirror.outbox import reading as reading_module
from mirror.outbox.folders import STATES
from mirror.records.addresses import RunPath
from mirror.records.operations import Change, Edit, UploadFile
from tests.outbox.operations import RUNS, edit, upload

RUN = RUNS[0]


def test_a_home_without_an_outbox_is_empty_and_stays_untouched(home: Home) -> None:
    outbox = Outbox(home)
    assert not [*outbox.entries(), *outbox.of_run(RUN), *outbox.asides(), *outbox.needed_objects()]
    assert outbox.oldest() is None
    assert set(outbox.counts().values()) == {0}
    assert not home.root.exists()


def test_an_entry_is_never_lost_from_view_nor_seen_twice_while_it_moves(fast_path: Path) -> None:
    home = Home(fast_path / "home")
    outbox = Outbox(home)
    entries = [outbox.put(RUN, None, upload(str(number))) for number in range(6)]
    stop = threading.Event()

    def replay() -> None:
        while not stop.is_set():
            for entry in entries:
                claimed = outbox.claim(entry)
                assert claimed is not None
                held = outbox.hold(claimed, "moved")
                outbox.resolve(held, "ours")

    mover = threading.Thread(target=replay)
    mover.start()
    try:
        ids = [entry.id for entry in entries]
        for _ in range(300):
            assert [placed.entry.id for placed in outbox.of_run(RUN)] == ids
            assert [placed.entry.id for placed in outbox.entries()] == ids
            assert sum(outbox.counts().values()) == len(ids)
    finally:
        stop.set()
        mover.join()


def test_a_backlog_longer_than_what_is_held_in_memory_is_listed_whole(
    fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_module, "_AT_ONCE", 7)
    outbox = Outbox(Home(fast_path / "home"))
    ids = [outbox.put(RUN, None, upload(str(number))).id for number in range(50)]
    for number, placed in enumerate(list(outbox.entries())):
        if number % 3:
            assert outbox.claim(placed.entry)
    assert [placed.entry.id for placed in outbox.entries()] == ids
    assert [placed.entry.id for placed in outbox.entries("new")] == ids[::3]
    drained = []
    for placed in outbox.entries("new", "dead"):
        drained.append(placed.entry.id)
        outbox.drop(placed.entry)
    assert drained == ids[::3]


def test_an_entry_is_found_by_the_beginning_of_its_id(home: Home) -> None:
    outbox = Outbox(home)
    one, two = outbox.put(RUN, None, upload("a")), outbox.put(RUN, None, upload("b"))
    assert outbox.get(one.id).entry == one
    assert outbox.get(two.id[:-1]) == ("new", two)
    with pytest.raises(ConfigError, match="several"):
        outbox.get(one.id[:3])
    for unknown in ("zz", "", one.id + "0", "../new"):
        with pytest.raises(NotFound):
            outbox.get(unknown)


def test_objects_that_entries_need_are_all_named_also_those_of_files_set_aside(home: Home) -> None:
    told: list[Aside] = []
    outbox = Outbox(home, told.append)
    uploads = [UploadFile(name="f", object=digit * 64, size=1, md5="") for digit in "abc"]
    entries = [outbox.put(RUN, None, operation) for operation in uploads]
    outbox.put(RUN, None, edit("m"))
    assert outbox.claim(entries[0])
    (newer,) = (home.outbox / "new").glob(f"{entries[1].id}*")
    newer.write_bytes(newer.read_bytes().replace(b'"version":1', b'"version":2'))
    assert set(outbox.needed_objects()) == {operation.object for operation in uploads}
    assert [str(aside) for aside in told] == [
        f"{newer.name} in outbox/new was set aside: a newer wandb-mirror wrote it (entry version 2)"
    ]


def test_what_is_no_entry_is_kept_aside_and_the_others_go_on(home: Home) -> None:
    told: list[Aside] = []
    outbox = Outbox(home, told.append)
    good = outbox.put(RUN, None, upload("a"))
    new = home.outbox / "new"
    (name,) = (path.name for path in new.iterdir())
    other = name.replace(name[:8], "00000000")
    (new / "notes.txt").write_text("mine")
    (new / ".hidden").write_text("of a file manager")
    (new / "folder").mkdir()
    os.mkfifo(new / other)
    (home.outbox / "conflict" / name.replace(name[:8], "00000001")).mkdir()
    (home.outbox / "dead" / other).symlink_to(new / name)
    assert [placed.entry for placed in outbox.entries()] == [good]
    folder = "conflict~" + name.replace(name[:8], "00000001")
    assert outbox.asides() == [folder, "new~" + other, "new~folder", "new~notes.txt"]
    assert {aside.reason for aside in told} == {"no entry has such a name", "it is no regular file"}
    assert [placed.entry for placed in outbox.entries()] == [good]
    assert outbox.asides() == [folder, "dead~" + other, "new~" + other, "new~folder", "new~notes.txt"]
    assert (home.outbox / "aside" / "new~notes.txt").read_text() == "mine"
    assert set(outbox.needed_objects()) == {"ab" * 32}
    assert (new / ".hidden").exists()


def test_what_an_older_version_set_aside_is_taken_back_by_one_that_can_read_it(home: Home) -> None:
    outbox = Outbox(home)
    entries = [outbox.put(RUN, None, upload(mark)) for mark in "abc"]
    for state, entry in zip(("new", "claimed", "dead"), entries, strict=True):
        (path,) = (home.outbox / "new").glob(f"{entry.id}*")
        path.rename(home.outbox / "aside" / f"{state}~{path.name}")
    (home.outbox / "aside" / "new~foreign").write_text("mine")
    with outbox.replaying() as recovered:
        assert recovered.taken_in == 3
    assert [(placed.state, placed.entry) for placed in outbox.entries()] == list(
        zip(("new", "new", "dead"), entries, strict=True)
    )
    assert outbox.asides() == ["new~foreign"]


def test_no_edit_is_folded_over_an_entry_that_was_taken_back(home: Home) -> None:
    outbox = Outbox(home)
    outbox.put(RUN, None, edit("a"))
    later = outbox.put(RUN, None, upload("b"))
    (path,) = (home.outbox / "new").glob(f"{later.id}*")
    aside = path.rename(home.outbox / "aside" / f"new~{path.name}")
    outbox = Outbox(home)
    outbox.put(RUN, None, edit("c"))
    assert outbox.recover().taken_in == 1
    assert not aside.exists()
    assert outbox.put(RUN, None, edit("d")).id > later.id
    assert [placed.entry.kind for placed in outbox.of_run(RUN)] == ["edit", "upload_file", "edit"]


def test_a_copy_of_an_entry_in_a_second_folder_does_not_double_it(home: Home) -> None:
    outbox = Outbox(home)
    entry = outbox.put(RUN, None, upload("a"))
    (path,) = (home.outbox / "new").iterdir()
    for state in ("dead", "conflict"):
        (home.outbox / state / path.name).write_bytes(path.read_bytes())
    assert outbox.of_run(RUN) == [*outbox.entries()] == [("new", entry)]
    with outbox.replaying() as recovered:
        assert recovered.doubles == 2
    assert outbox.counts() == {state: int(state == "new") for state in STATES}


@contextlib.contextmanager
def without_permission(home: Home) -> Iterator[None]:
    """Be somebody who may read the outbox and write nothing in it."""
    for path in (home.outbox, *home.outbox.rglob("*")):
        path.chmod(0o444 if path.is_file() else 0o555)
    for folder in (home.root, home.root.parent):
        folder.chmod(0o755)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # root may write everywhere
    try:
        yield
    finally:
        os.seteuid(me)
        for folder in (home.outbox, *home.outbox.iterdir()):
            folder.chmod(0o755)


def test_a_reader_that_may_not_write_leaves_out_and_tells_what_is_torn(fast_path: Path) -> None:
    home = Home(fast_path / "home")
    good = Outbox(home).put(RUN, None, upload("a"))
    (home.outbox / "new" / "torn").write_text("{")
    with without_permission(home):
        told: list[Aside] = []
        outbox = Outbox(home, told.append)
        assert [*outbox.entries()] == outbox.of_run(RUN) == [("new", good)]
        assert told
        assert not any(aside.moved for aside in told)
        assert str(told[0]) == "torn in outbox/new is left out: no entry has such a name"
        with pytest.raises(HomeUnusable):
            outbox.put(RUN, None, upload("b"))


def test_only_one_process_replays_and_the_other_is_told_who(home: Home) -> None:
    with Outbox(home).replaying(), pytest.raises(HomeBusy, match=f"PID {os.getpid()}"), Outbox(home).replaying():
        raise AssertionError("two at once")
    with Outbox(home).replaying():
        pass


def test_an_operation_that_cannot_be_written_as_json_is_refused_and_leaves_nothing(home: Home) -> None:
    outbox = Outbox(home)
    outbox.put(RUN, None, upload("a"))
    for value in (object(), 10**5000, {1, object()}):
        with pytest.raises((TypeError, ValueError)):
            outbox.put(RUN, None, Edit(config={"key": Change(value=value)}))
    assert len(list(outbox.entries())) == 1
    assert not list((home.outbox / "tmp").iterdir())


def test_names_of_any_text_are_kept_and_lone_surrogates_replaced(home: Home) -> None:
    outbox = Outbox(home)
    odd = RunPath("e", "\ud800", "../../\x00")
    entry = outbox.put(odd, None, edit("m"))
    assert entry.run_path == ("e", "�", "../../\x00")
    assert outbox.of_run(odd) == [("new", entry)]
