"""Every file that a commit names is on the disk before the commit; a write that fails leaves what was there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mirror import durable
from mirror.errors import StoreError
from mirror.layout import Home
from mirror.store.engine.lake import Lake
from mirror.store.sql.statements import connect

FILES = "SELECT data_file FROM ducklake_list_files('lake', 'runs')"
ROW = (
    "INSERT INTO lake.runs (entity, project, run_id, storage_id, synced_at, fingerprint)"
    " VALUES ('e', 'p', ?, 's', now()::TIMESTAMP, 'f')"
)


def test_every_parquet_file_and_its_folder_are_synced_before_the_commit(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lake(home, deployment="d") as lake:
        synced: list[str] = []
        visible: list[int] = []
        real = os.fsync

        def note(descriptor: int) -> None:
            synced.append(
                str(Path(f"/proc/self/fd/{descriptor}").readlink()) if Path("/proc/self/fd").exists() else "?"
            )
            with connect(home) as reader:
                visible.append(len(reader.execute("SELECT run_id FROM runs").fetchall()))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", note)
        with lake.transaction() as engine:
            engine.execute(ROW, ["a"])
        monkeypatch.undo()
        with lake.reading() as engine:
            names = [row[0] for row in engine.execute(FILES).fetchall()]
    assert names
    assert set(visible) == {0}
    if "?" not in synced:
        for name in names:
            assert name in synced
            assert str(Path(name).parent) in synced
            assert synced.index(name) < synced.index(str(Path(name).parent))


def test_a_flush_that_fails_undoes_the_commit(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with Lake(home, deployment="d") as lake:
        monkeypatch.setattr(durable, "sync_descriptor", broken)
        with pytest.raises(StoreError), lake.transaction() as engine:
            engine.execute(ROW, ["lost"])
        monkeypatch.undo()
        with lake.transaction() as engine:
            engine.execute(ROW, ["kept"])
    with connect(home) as reader:
        assert reader.execute("SELECT run_id FROM runs").fetchall() == [("kept",)]


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
def test_a_replacement_that_fails_leaves_the_old_content_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    target = tmp_path / "file"
    durable.write_replace(target, b"old")

    def broken(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    if step == "replace":
        monkeypatch.setattr(Path, "replace", broken)
    else:
        monkeypatch.setattr(os, step, broken)
    with pytest.raises(OSError, match="No space"):
        durable.write_replace(target, b"new")
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_new_folders_and_files_are_found_and_known_ones_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable.make_folder(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "one").write_bytes(b"1")
    known = durable.file_names(tmp_path)
    assert durable.sync_new_files(tmp_path, known) == []
    (tmp_path / "a" / "two").write_bytes(b"2")
    assert durable.sync_new_files(tmp_path, known) == [tmp_path / "a" / "two"]
    assert durable.file_names(tmp_path / "missing") == set()
