"""`verify` only reads, finds any flipped byte, and raises no false alarm beside those who write."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror.check import FINDING_KINDS, Damage, verify
from mirror.check.hashing import HashingProgress
from mirror.errors import LakeTooNew, NotMirrored
from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.store.care.inspection import LakeFile, inspected, lake_files
from mirror.store.engine.catalog_copy import catalog_copy
from mirror.store.engine.catalog_log import damage_of_log
from mirror.store.engine.catalog_seal import log_of
from mirror.store.engine.lake import Lake
from mirror.store.engine.lake_digests import read_digests
from tests.check.homes import files_of, flipped, look, rich_home, state_of
from tests.mirroring import ENGINE, ENTITY, PROJECT, Mirror
from tests.pull.contents import history
from tests.store.maintained import deployment, tidy

FLIPS = 3  # of each kind of file


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A mirror of a server that is still there. Tests leave it as it was."""
    folder = tmp_path_factory.mktemp("rich")
    with Sandbox.start() as sandbox:
        yield rich_home(sandbox, Home(folder / "home"), folder)


@pytest.fixture
def own(rich: Mirror, home: Home) -> Home:
    """A copy that a test may spoil."""
    shutil.copytree(rich.home.root, home.root)
    return home


def kinds(home: Home) -> list[str]:
    return [finding.kind for finding in look(home).findings]


def test_a_sound_home_is_sound_and_everything_in_it_was_looked_at(rich: Mirror) -> None:
    report = look(rich.home)
    assert report.is_sound, report.findings
    files = files_of(rich.home)
    held = sum(path.stat().st_size for path in files["objects"])
    assert (report.catalog, report.unrecorded, report.entries) == ("sealed", 0, 2)
    assert report.objects == len(files["objects"])
    assert report.lake_files > 10
    assert report.bytes > held


@pytest.mark.parametrize("kind", ["objects", "tables", "catalog", "digests", "seal", "entries"])
def test_a_flipped_byte_is_found_wherever_it_is_and_names_its_file(rich: Mirror, kind: str) -> None:
    chance = random.Random(kind)
    home = rich.home
    named = {one.path for one in _named(home)}
    for _ in range(FLIPS):
        path = chance.choice([path for path in files_of(home)[kind] if kind != "tables" or path in named])
        if path.stat().st_size == 0:
            continue
        place, bit = chance.randrange(path.stat().st_size), chance.randrange(8)
        with flipped(path, place, bit):
            report = look(home)
        found = [one for one in report.findings if home.root / one.path == path]
        assert found, f"{path.name} at {place}, bit {bit}: {report.findings}"
        assert all(one.hint and one.lost and one.wrong for one in report.findings)
        assert {one.kind for one in report.findings} <= set(FINDING_KINDS)
    assert look(home).is_sound


def _named(home: Home) -> list[LakeFile]:
    """The files that snapshots name."""
    with catalog_copy(home) as copy, inspected(home, copy.path, ENGINE) as engine:
        return lake_files(engine, home)


def test_looking_changes_no_byte_no_name_and_no_time(rich: Mirror) -> None:
    before = state_of(rich.home.root)
    assert look(rich.home).is_sound
    assert look(rich.home, quick=True).is_sound
    assert state_of(rich.home.root) == before


def test_a_home_that_cannot_be_written_is_looked_at_like_any_other(own: Home) -> None:
    folders = [own.root, *(path for path in own.root.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    try:
        before = state_of(own.root)
        assert look(own).is_sound
        assert state_of(own.root) == before
    finally:
        for path in folders:
            path.chmod(0o755)


def test_what_is_missing_is_named_with_the_rows_that_need_it(own: Home) -> None:
    victim = next(path for path in files_of(own)["objects"] if path.read_bytes() == b"2")
    victim.unlink()
    for quick in (False, True):
        (finding,) = look(own, quick=quick).findings
        assert finding.kind == "object_missing"
        assert finding.lost == f"the bytes of {ENTITY}/{PROJECT}/n2: own.bin"


def test_a_missing_table_file_and_a_cut_object_are_found_even_quickly(own: Home) -> None:
    table = next(file for file in _named(own) if file.table == "console_lines")
    table.path.unlink()
    victim = next(path for path in files_of(own)["objects"] if path.stat().st_size == 60_000)
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-1])
    found = {finding.kind: finding for finding in look(own, quick=True).findings}
    assert set(found) == {"lake_file_missing", "object_damaged"}
    assert "console_lines" in found["lake_file_missing"].lost
    assert set(kinds(own)) == set(found)


def test_a_damaged_table_takes_no_other_finding_along(own: Home, rich: Mirror) -> None:
    with Lake(own, deployment=deployment(rich), settings=ENGINE) as lake, lake.transaction() as engine:
        engine.execute("CALL ducklake_flush_inlined_data('lake', table_name => 'meta')")  # a file, as in older homes
    table = next(file for file in _named(own) if file.table == "files" and file.is_current)
    with flipped(table.path, 100):
        assert kinds(own) == ["lake_file_damaged"]
    meta = next(file for file in _named(own) if file.table == "meta")
    with flipped(meta.path, 10):
        assert kinds(own) == ["lake_file_damaged"]


def test_what_only_an_earlier_state_needs_is_said_to_be_that(own: Home, rich: Mirror) -> None:
    with Lake(own, deployment=deployment(rich), settings=ENGINE) as lake, lake.transaction() as engine:
        engine.execute("DELETE FROM lake.console_lines")
    old = [file for file in _named(own) if not file.is_current]
    assert old
    with flipped(old[0].path, 20):
        (finding,) = look(own).findings
    assert finding.lost.startswith("earlier states")


def test_an_upload_whose_bytes_are_gone_and_files_that_are_no_entries_are_told(own: Home) -> None:
    upload = next(path for path in files_of(own)["objects"] if path.read_bytes() == b"a report")
    upload.unlink()
    (own.outbox / "new" / "what.json").write_bytes(b"{}")
    (own.outbox / "aside" / "new~torn").write_bytes(b"{")
    found = {finding.kind: finding for finding in look(own).findings}
    assert set(found) == {"object_missing", "entry_damaged", "entry_aside"}
    assert "upload of report.md" in found["object_missing"].lost
    assert (own.outbox / "new" / "what.json").exists(), "nothing is set aside by looking"


def test_what_is_no_object_and_half_a_state_file_are_told(own: Home) -> None:
    (own.objects / "ab").mkdir(exist_ok=True)
    (own.objects / "ab" / "notes.txt").write_bytes(b"mine")
    (own.objects / "zz").symlink_to(own.root)
    own.status.write_bytes(b'{"pid": 1')
    own.config.write_text("[[source")
    assert sorted(kinds(own)) == ["object_misplaced", "object_misplaced", "state_damaged", "state_damaged"]


def test_a_lost_catalog_and_one_that_is_no_database_are_told_and_the_objects_are_read_all_the_same(own: Home) -> None:
    victim = files_of(own)["objects"][0]
    victim.chmod(0o644)
    victim.write_bytes(b"x")
    own.catalog.write_bytes(b"no database" * 1000)
    assert kinds(own)[0] == "catalog_damaged"
    assert kinds(own)[-1] == "object_damaged"
    own.catalog.unlink()
    assert {"catalog_damaged", "object_damaged"} == set(kinds(own))


def test_damage_of_the_catalog_outlives_the_next_commit(own: Home, rich: Mirror) -> None:
    with sqlite3.connect(own.catalog) as connection:
        connection.execute("UPDATE ducklake_snapshot_changes SET author = 'nobody' WHERE snapshot_id = 1")
    connection.close()
    assert kinds(own) == ["catalog_damaged"]
    with Lake(own, deployment=deployment(rich), settings=ENGINE) as lake, lake.transaction() as engine:
        engine.execute("DELETE FROM lake.failures")
    assert kinds(own) == ["catalog_damaged"], "a writer must not seal what it found broken"


def test_files_of_an_older_version_are_read_whole_and_recorded_by_the_next_writer(own: Home, rich: Mirror) -> None:
    own.lake_digests.unlink()
    report = look(own)
    assert (report.is_sound, report.unrecorded) == (True, report.lake_files)
    merged = next(file for file in _named(own) if file.table == "runs" and file.is_current)
    with flipped(merged.path, merged.size - 6):  # in the length of the footer
        assert kinds(own) == ["lake_file_damaged"]
    with Lake(own, deployment=deployment(rich), settings=ENGINE):
        pass
    assert (look(own).is_sound, look(own).unrecorded) == (True, 0)


def test_the_list_of_digests_does_not_grow_for_ever(own: Home, rich: Mirror) -> None:
    line = own.lake_digests.read_bytes().splitlines(keepends=True)[0]
    own.lake_digests.write_bytes(own.lake_digests.read_bytes() + line * 3000)
    with Lake(own, deployment=deployment(rich), settings=ENGINE):
        pass
    assert read_digests(own).lines < 100
    assert look(own).is_sound


def test_a_newer_lake_is_left_to_a_newer_program_and_no_home_is_no_finding(own: Home, rich: Mirror) -> None:
    with Lake(own, deployment=deployment(rich), settings=ENGINE) as lake, lake.transaction() as engine:
        engine.execute("UPDATE lake.meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(LakeTooNew):
        look(own)
    with pytest.raises(NotMirrored):
        look(Home(own.root / "nowhere"))


def test_a_key_that_comes_twice_is_told(own: Home, rich: Mirror) -> None:
    with Lake(own, deployment=deployment(rich), settings=ENGINE) as lake, lake.transaction() as engine:
        engine.execute("INSERT INTO lake.runs SELECT * FROM lake.runs WHERE run_id = 'n1'")
    assert kinds(own) == ["rows_doubled"]


def test_an_unbroken_look_beside_pulls_and_maintenance_raises_no_alarm(sandbox: Sandbox, home: Home) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", history=history(0, 5), files={"f": b"0"})
    mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home)
    mirror.pull()
    ended = threading.Event()
    alarms: list[Damage] = []
    looks = 0

    def watch() -> None:
        nonlocal looks
        while not ended.is_set():
            report = look(home)
            alarms.extend(report.findings)
            looks += 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(3):
            sandbox.state.add_run(ENTITY, PROJECT, f"n{number}", history=history(0, 5), files={"f": b"%d" % number})
            sandbox.state.add_file(ENTITY, PROJECT, "r", "f", b"version %d" % number)
            sandbox.state.changed(sandbox.state.run(ENTITY, PROJECT, "r"), heartbeat=True)
            assert not mirror.pull().errors
            tidy(mirror, days=30 if number % 3 == 2 else 0)
    finally:
        ended.set()
        watcher.join()
    assert alarms == []
    assert looks >= 3


def test_a_damaged_log_is_told_and_a_torn_end_is_not(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    for number in range(6):
        connection.execute(f"CREATE TABLE t{number} (a)")
    log = tmp_path / "copy-wal"
    shutil.copy(log_of(path), log)
    whole = log.read_bytes()
    assert damage_of_log(log) is None
    frame = 24 + 4096
    last = len(whole) - 2 * frame  # what no commit follows may be what a power cut left
    chance = random.Random(1)
    for _ in range(60):
        with flipped(log, chance.randrange(last), chance.randrange(8)):
            assert damage_of_log(log) is not None
    for cut in (1, frame // 2, frame, 3 * frame + 7):
        log.write_bytes(whole[:-cut])
        assert damage_of_log(log) is None, "the end of a log may be torn"
    connection.close()


def test_a_look_that_is_ended_ends_at_once(own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    large = own.objects / "00" / ("00" * 32)
    large.parent.mkdir(exist_ok=True)
    with large.open("wb") as file:
        os.truncate(file.fileno(), 8 << 30)

    class Interrupting(HashingProgress):
        def read(self, count: int) -> None:
            super().read(count)
            if self.bytes > 20_000_000:
                raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        verify(own, ENGINE, meter=Interrupting())
    assert time.monotonic() - started < 10
