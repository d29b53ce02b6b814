"""Names from a server become files inside the folder, each at its own place, or not at all."""

from __future__ import annotations

import os
import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mirror.texts.paths import COMPONENT_BYTES, casefold_path, refusals, safe_name, why_refused

PARTS = st.one_of(
    st.sampled_from(
        ["..", ".", "", "a", "A", "b.txt", "é", "e\u0301", "C:", "c:x", "\\", "a\\b", "CON", "nul.txt", " "]
    ),
    st.text(max_size=6),
)
NAMES = st.one_of(st.lists(PARTS, min_size=1, max_size=4).map("/".join), st.text(max_size=12))


@pytest.mark.parametrize(
    "name",
    [
        "", "..", "../x", "a/../../x", "a/..", "/etc/passwd", "//x", "C:\\windows", "c:x", "Z:/x", ".", "a/./b", "a//b",
        "a/", "a\0b", "x" * 256, "é" * 128, "d/" + "x" * 300, "/".join(["x" * 200] * 21), "a\ud800",
    ],
)  # fmt: skip
def test_a_name_that_is_no_place_in_the_folder_is_refused_with_a_reason(name: str) -> None:
    reason = why_refused(name)
    assert reason is not None
    assert reason.isprintable()


@pytest.mark.parametrize(
    "name", ["a", "a/b", "...", "a..b", ".hidden", "x" * 255, "a b", "a\\b", "CON", "ab:c", "\n", "~", "-rf"]
)
def test_a_plain_name_is_taken_as_it_is(name: str) -> None:
    assert why_refused(name) is None


@pytest.mark.parametrize("name", ["a\\b", "..\\x", "a:b", "a/CON", "nul.txt", "COM1", "a.", "a ", "x?", 'q"', "a\n"])
def test_what_windows_takes_for_something_else_is_refused_there(name: str) -> None:
    assert why_refused(name, windows=True) is not None


@given(NAMES)
@example("a/../..")
@example("..\\..\\x")
def test_whatever_is_not_refused_stays_below_the_folder(name: str) -> None:
    if why_refused(name) is None:
        joined = posixpath.normpath(posixpath.join("/top", name))
        assert joined == f"/top/{name}"
        assert all(len(os.fsencode(part)) <= COMPONENT_BYTES for part in name.split("/"))


@given(st.sets(NAMES, max_size=8), st.booleans())
def test_names_that_are_not_refused_never_take_each_others_place(names: set[str], folds: bool) -> None:
    refused = refusals(names, folds_case=folds)
    assert refused.keys() <= names
    kept = [casefold_path(name) if folds else name for name in names - refused.keys()]
    assert len(set(kept)) == len(kept)
    for name in kept:
        for other in kept:
            assert not other.startswith(f"{name}/"), "a file would stand where a folder is needed"


@given(st.sets(NAMES, max_size=8))
def test_nothing_is_refused_for_its_neighbours_that_was_no_neighbour(names: set[str]) -> None:
    refused = refusals(names)
    for name, reason in refused.items():
        alone = why_refused(name)
        assert alone is not None or any(
            other.startswith(f"{name}/") or name.startswith(f"{other}/") for other in names - refused.keys()
        ), reason


def test_of_names_that_differ_in_case_the_first_in_order_is_kept() -> None:
    assert refusals(["b/X", "B/x", "c"], folds_case=True) == {"b/X": "the folder cannot tell its name from 'B/x'"}
    assert refusals(["\u00e9", "e\u0301"], folds_case=True).keys() == {"\u00e9"}
    assert refusals(["b/X", "B/x", "c"]) == {}


def test_a_file_never_stands_where_another_needs_a_folder() -> None:
    assert refusals(["a", "a/b"]) == {"a/b": "'a' is a file, where this one needs a folder"}
    assert refusals(["a/b", "A"], folds_case=True) == {"a/b": "'A' is a file, where this one needs a folder"}


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../evil", "%2E.%2Fevil"), ("Model.pt", "%4Dodel.pt"), ("a.", "a%2E"), ("..", "%2E%2E"),
        ("nul.txt", "%6Eul.txt"), ("C:\\x", "%43%3A%5Cx"), ("", "%"), ("a b%20", "a%20b%2520"), ("é", "%C3%A9"),
    ],
)  # fmt: skip
def test_a_safe_name_is_readable_and_gives_the_name_back(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert unquote(safe) == (name or "%")


@given(NAMES, NAMES)
@example("x" * 300, "x" * 301)
@example("é" * 128, "É" * 128)
@example(".", "%2E")
def test_safe_names_are_good_everywhere_and_never_the_same(first: str, second: str) -> None:
    safe = safe_name(first)
    assert why_refused(safe, windows=True) is None
    assert "/" not in safe
    assert len(safe) <= COMPONENT_BYTES
    if first != second:
        assert casefold_path(safe) != casefold_path(safe_name(second))
    if "%~" not in safe and first:
        assert unquote(safe, errors="surrogatepass") == first
