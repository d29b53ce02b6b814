"""Looking into a folder is bounded in memory and time, whatever lies there."""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from mirror.daemon.watch_folder.memory import SPARE, Memory
from mirror.daemon.watch_folder.rules import FileStamp, Queued, Rules
from mirror.daemon.watch_folder.scan import MOST_FOLDERS, open_below, scan
from mirror.layout import Home
from mirror.watch_settings import WatchSettings


def rules(**settings: object) -> Rules:
    return Rules(WatchSettings(**{"folder": "/data", "run": "r1", **settings}), 1.0)  # type: ignore[arg-type]  # a test's


def test_ten_thousand_files_are_one_short_look(tmp_path: Path) -> None:
    for folder in range(100):
        (tmp_path / f"{folder}").mkdir()
        for number in range(100):
            (tmp_path / f"{folder}/{number}.txt").touch()
    taken = []
    for _ in range(3):
        began = time.process_time()
        found = scan(str(tmp_path), rules())
        taken.append(time.process_time() - began)
    assert len(found.files) == 10_000
    assert len(found.folders) == 101
    assert min(taken) < 1.0, taken
    tracemalloc.start()
    kept = scan(str(tmp_path), rules())
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / len(kept.files) < 1000, "bytes a file"


def test_of_too_many_files_the_first_are_looked_at_and_that_is_said(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}").touch()
    found = scan(str(tmp_path), rules(), most=20)
    assert sorted(found.files) == [f"{number:02}" for number in range(20)]
    assert "more than 20 files" in found.left_out["…"]


def test_notifications_are_asked_for_so_many_folders_only(tmp_path: Path) -> None:
    for number in range(MOST_FOLDERS + 10):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "a").touch()
    found = scan(str(tmp_path), rules())
    assert len(found.folders) == MOST_FOLDERS
    assert found.folders[0] == str(tmp_path)
    assert len(found.files) == MOST_FOLDERS + 10, "the others are looked into all the same"


def test_an_ignored_folder_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / ".git" / "deep").mkdir(parents=True)
    (tmp_path / "a").touch()
    found = scan(str(tmp_path), rules())
    assert (list(found.files), found.folders) == (["a"], [str(tmp_path)])


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        scan(str(tmp_path / "file"), rules())


def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        open_below(str(tmp_path), "pipe")


def test_files_that_vanished_are_remembered_until_they_are_many(tmp_path: Path) -> None:
    memory = Memory(Home(tmp_path), ("a watch",))
    queued = Queued(FileStamp(1, 2, 3), "md5")
    for number in range(SPARE):
        memory.note(f"{number}", queued)
    memory.forget_vanished({"here"})
    assert memory.get("7") == queued, "the folder may not be mounted"
    memory.note("here", queued)
    memory.note("one more", queued)
    memory.forget_vanished({"here"})
    assert memory.get("7") is None
    memory.save()
    again = Memory(Home(tmp_path), ("a watch",))
    assert again.get("here") == queued
    assert again.get("7") is None
    assert Memory(Home(tmp_path), ("another",)).get("here") is None
