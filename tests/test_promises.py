"""Every promise is held by tests that are there, every file of tests holds one, and the page says so."""

from __future__ import annotations

from tests.promises import PAGE, PROMISES, TESTS, is_there, page


def test_every_promise_is_held_by_tests_that_are_there() -> None:
    assert len({promise.id for promise in PROMISES}) == len(PROMISES)
    for promise in PROMISES:
        assert promise.held_by, promise.id
        for file, names in promise.held_by.items():
            assert (TESTS / file).exists(), f"{promise.id}: {file}"
            for name in names:
                assert is_there(file, name), f"{promise.id}: {file}::{name}"


def test_every_file_of_tests_belongs_to_a_promise() -> None:
    held = {file for promise in PROMISES for file in promise.held_by}
    there = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    assert there - held == set(), "name them in tests/promises.py"


def test_the_page_of_promises_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.promises"
