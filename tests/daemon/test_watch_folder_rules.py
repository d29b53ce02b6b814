"""When a file is due, what is ignored and where it goes: decided from values alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.daemon.watch_folder.rules import (
    FileStamp,
    Queued,
    Restless,
    Rules,
    Target,
    due_at,
    newly_left_out,
    printable_path,
    restless,
)
from mirror.watch_settings import DEFAULT_IGNORE, WatchSettings


def watch(**settings: object) -> WatchSettings:
    return WatchSettings(**{"folder": "/data", "run": "r1", **settings})  # type: ignore[arg-type]  # a test's choice


def seen(number: int) -> FileStamp:
    return FileStamp(number, number, number)


@given(steps=st.lists(st.tuples(st.floats(0.1, 500), st.booleans()), min_size=1, max_size=60))
def test_a_file_is_due_once_it_rested_or_waited_long_enough_and_never_else(steps: list[tuple[float, bool]]) -> None:
    settings = watch(stable_s=30.0, growing_minutes=5.0)
    now, version = 0.0, 1
    file = restless(seen(version), None, None, now)
    since = now
    for step_s, changes in steps:
        now += step_s
        if changes:
            version += 1
            since = now
        file = restless(seen(version), None, file, now)
        assert file is not None
        is_due = due_at(file, settings) <= now
        assert is_due == (now >= min(since + 30.0, 300.0))


def test_a_file_that_looks_as_it_was_queued_is_done_with() -> None:
    queued = Queued(seen(1), "md5")
    assert restless(seen(1), queued, None, 5.0) is None
    assert restless(seen(1), queued, Restless(seen(2), 1.0, 1.0), 5.0) is None, "it was put back"
    assert restless(seen(2), queued, None, 5.0) == Restless(seen(2), 5.0, 5.0)


@pytest.mark.parametrize(
    "path", [".git", "a/.git", "a/.b.swp", "notes~", "a/#notes#", "x.tmp", "a/b/x.part", "__pycache__", ".nfs0001"]
)
def test_what_nobody_wants_is_ignored_by_default(path: str) -> None:
    assert Rules(watch(), 1.0).skips(path, is_folder=False)
    assert not Rules(watch(ignore=()), 1.0).skips(path, is_folder=False)


@pytest.mark.parametrize(
    "path", ["a.tmp.txt", "git/config", "model.ckpt", "a/tmp", "a#b", "checkpoint-10/optimizer.pt"]
)
def test_what_is_wanted_is_not_ignored(path: str) -> None:
    assert not Rules(watch(ignore=DEFAULT_IGNORE), 1.0).skips(path, is_folder=False)


@pytest.mark.parametrize(
    ("glob", "path", "is_ignored"),
    [
        ("logs/*", "logs/a", True),
        ("logs/*", "deep/logs/a/b", True),
        ("logs/*", "blogs/a", False),
        ("logs/", "logs", True),
        ("*.p[to]", "a/b.pt", True),
        ("a?c", "x/abc", True),
        ("a?c", "x/abcd", False),
        ("A", "a", False),
        ("a.b", "axb", False),
    ],
)
def test_a_glob_is_held_against_the_path_and_each_tail_of_it(glob: str, path: str, is_ignored: bool) -> None:
    assert Rules(watch(ignore=(glob,)), 1.0).skips(path, is_folder=False) == is_ignored


def test_a_folder_of_runs_is_entered_where_its_name_matches() -> None:
    rules = Rules(watch(run="exp-*", prefix="out/x"), 1.0)
    assert not rules.skips("exp-1", is_folder=True)
    assert rules.skips("other", is_folder=True)
    assert not rules.skips("exp-1/other", is_folder=True), "only the first folder names a run"
    assert rules.target("exp-1/a/b") == Target("exp-1", "out/x/a/b")
    assert rules.target("exp-1") is None


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a\udcff", "its name is not valid Unicode"),
        ("a" * 256, "a part of its name is longer than 255 bytes"),
        ("C:x", "its name begins with a drive letter"),
    ],
)
def test_a_name_that_could_not_be_written_out_again_is_left_out(path: str, reason: str) -> None:
    assert Rules(watch(), 1.0).why_left_out(path, seen(1)) == reason


def test_what_is_left_out_is_said_once_a_reason() -> None:
    before = {"a": "large", "b": "large", "c": "odd"}
    now = {"a": "large", "b": "odd", "d": "large", "e": "odd"}
    assert newly_left_out(before, now) == {"odd": ["b", "e"], "large": ["d"]}


def test_any_name_can_be_logged() -> None:
    assert printable_path("é/\udce9") == "é/\\xe9"
