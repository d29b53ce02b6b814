"""Repeated edits of a run become one: first base, last value, and nothing for what ends as it began."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.outbox.folding import MOST_FOLDED, can_take, fold, goes_on, rest_of
from mirror.records.operations import Change, Edit, Entry, Stop, encode_entry, entry_of_json, merged_tags
from tests.outbox.operations import RUNS, edit

RUN = RUNS[0]
VALUES = st.sampled_from([UNSET, None, True, 1, 1.0, "1", "NaN", [1], {"a": 1, "b": 2}, 2**70])
DOCUMENTS = st.dictionaries(st.sampled_from("abc"), VALUES.filter(lambda value: value is not UNSET))


def entry(operation: Edit) -> Entry:
    """An entry that waits."""
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return Entry(
        id="1", entity="e", project="p", run_id="r", storage_id=None, operation=operation, created_at=at
    )  # fmt: skip


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Change]:
    """What was changed, as a run would queue it."""
    return {
        key: Change(base=before.get(key, UNSET), value=after.get(key, UNSET))
        for key in {*before, *after}
        if repr(before.get(key, UNSET)) != repr(after.get(key, UNSET))
    }


@given(st.lists(DOCUMENTS, min_size=2, max_size=6))
def test_edits_one_after_the_other_fold_to_the_difference_of_first_and_last(states: list[dict[str, Any]]) -> None:
    folded = entry(Edit(config=difference(states[0], states[1])))
    for number, (before, after) in enumerate(itertools.pairwise(states[1:])):
        folded = fold(folded, str(number), Edit(config=difference(before, after)))
    assert isinstance(folded.operation, Edit)
    assert repr(sorted(folded.operation.config.items())) == repr(sorted(difference(states[0], states[-1]).items()))
    assert folded.folded == tuple(map(str, range(len(states) - 2)))


def test_parts_of_an_edit_do_not_mix() -> None:
    first = Edit(fields={"notes": Change(base="a", value="b")}, config={"notes": Change(value=1)})
    second = Edit(summary={"notes": Change(base=2, value=3)}, fields={"notes": Change(base="b", value="c")})
    assert fold(entry(first), "2", second).operation == Edit(
        fields={"notes": Change(base="a", value="c")},
        config={"notes": Change(value=1)},
        summary={"notes": Change(base=2, value=3)},
    )


def test_a_tag_that_came_from_elsewhere_and_is_removed_later_goes() -> None:
    """The later edit saw what was pulled after the earlier one."""
    first = Edit(fields={"tags": Change(base=["a"], value=["a", "b"])})
    second = Edit(fields={"tags": Change(base=["a", "b", "c"], value=["a", "b"])})
    folded = fold(entry(first), "2", second).operation
    assert isinstance(folded, Edit)
    assert _merged(folded, ["a", "c", "d"]) == ["a", "d", "b"]


def test_what_was_asked_of_a_run_that_nobody_saw_is_never_nothing() -> None:
    gone, notes = Change(unseen=True), Change(value="n", unseen=True)
    first = Edit(config={"lr": gone}, fields={"notes": notes, "tags": Change(base=["a"], value=["b"], unseen=True)})
    second = Edit(config={"lr": Change(value=1, unseen=True)}, fields={"tags": Change(base=["c"], unseen=True)})
    third = Edit(config={"lr": gone}, fields={"notes": Change(base="n", value="m")})
    folded = entry(first)
    for later in (second, third):
        assert isinstance(folded.operation, Edit)
        assert goes_on(folded.operation, later)
        folded = fold(folded, "later", later)
    tags = Change(base=["a", "c"], value=["b"], unseen=True)
    wanted = Edit(config={"lr": gone}, fields={"notes": replace(notes, value="m"), "tags": tags})
    assert folded.operation == wanted
    assert rest_of(wanted, first).config == {}
    assert rest_of(wanted, Edit()).config == {"lr": gone}
    assert entry_of_json(encode_entry(folded)) == folded


def test_what_was_seen_and_is_wanted_unseen_is_written_whatever_is_there() -> None:
    seen, back = Change(base="a", value="b"), Change(value="a", unseen=True)
    folded = fold(entry(Edit(fields={"notes": seen})), "2", Edit(fields={"notes": back})).operation
    assert folded == Edit(fields={"notes": Change(base="a", value="a", unseen=True)})


TAGS = st.lists(st.sampled_from("abc"), unique=True)


@given(first=st.tuples(TAGS, TAGS), then=st.tuples(TAGS, TAGS), there=TAGS)
def test_tags_that_nobody_saw_end_as_one_change_after_the_other(
    first: tuple[list[str], list[str]], then: tuple[list[str], list[str]], there: list[str]
) -> None:
    one, other = (Change(base=removed, value=added, unseen=True) for removed, added in (first, then))
    folded = fold(entry(Edit(fields={"tags": one})), "2", Edit(fields={"tags": other})).operation
    assert isinstance(folded, Edit)
    in_turn = merged_tags(*then, merged_tags(*first, there))
    assert set(_merged(folded, there)) == set(in_turn)
    rest = rest_of(folded, Edit(fields={"tags": one}))
    assert set(_merged(rest, merged_tags(*first, there))) == set(in_turn)


def _merged(edit: Edit, there: list[str]) -> list[str]:
    if "tags" not in edit.fields:
        return there
    base, wish = edit.fields["tags"].base, edit.fields["tags"].value
    assert isinstance(base, list)
    assert isinstance(wish, list)
    return merged_tags(base, wish, there)


def test_an_edit_taken_back_stays_as_an_entry_with_nothing_to_do(home: Home) -> None:
    outbox = Outbox(home)
    outbox.put(RUN, "s", Edit(config={"lr": Change(base=1, value=2)}))
    back = outbox.put(RUN, "s", Edit(config={"lr": Change(base=2, value=1)}))
    assert isinstance(back.operation, Edit)
    assert back.operation.is_empty
    assert outbox.of_run(RUN) == [("new", back)]


def test_an_entry_takes_no_edit_once_its_delivery_was_begun_or_a_person_decided_or_it_is_full() -> None:
    fresh = entry(edit("m"))
    assert can_take(fresh)
    assert not can_take(replace(fresh, attempts=1))
    assert not can_take(replace(fresh, resolved="ours"))
    assert not can_take(replace(fresh, reason="timed out"))
    assert not can_take(replace(fresh, folded=("x",) * MOST_FOLDED))
    assert not can_take(replace(fresh, operation=Stop()))


@pytest.mark.parametrize("between", [True, False])
def test_edits_of_one_run_fold_across_processes_but_never_over_another_operation(home: Home, between: bool) -> None:
    first = Outbox(home).put(RUN, "s", edit("a"))
    Outbox(home).put(RUNS[1], "s", Stop())
    if between:
        Outbox(home).put(RUN, "s", Stop())
    second = Outbox(home).put(RUN, "s", edit("b"))
    assert (second.id == first.id) == (not between)
    assert [placed.entry.kind for placed in Outbox(home).of_run(RUN)] == (
        ["edit", "stop", "edit"] if between else ["edit"]
    )


def test_a_put_of_another_process_is_seen_before_an_edit_is_folded(home: Home) -> None:
    mine, other = Outbox(home), Outbox(home)
    mine.put(RUN, "s", edit("a"))
    other.put(RUN, "s", Stop())
    assert mine.put(RUN, "s", edit("b")).folded == ()
    assert [placed.entry.kind for placed in mine.of_run(RUN)] == ["edit", "stop", "edit"]


def test_what_was_folded_after_it_was_listed_is_in_what_is_claimed(home: Home) -> None:
    outbox = Outbox(home)
    listed = outbox.put(RUN, "s", edit("a"))
    now = Outbox(home).put(RUN, "s", edit("b"))
    assert outbox.claim(listed) == now
    assert outbox.put(RUN, "s", edit("c")).id != now.id


def test_numbers_that_json_lacks_are_folded_and_kept_as_numbers() -> None:
    other = Change(base=1, value={"a/b": ["NaN", "word", "NaN"]}, numbers=("/a~1b/0",))
    first = Edit(config={"k": Change(base=0, value="-Infinity", numbers=("",)), "kept": other})
    then = Edit(config={"k": Change(base="-Infinity", value="Infinity", numbers=("",))})
    folded = entry_of_json(encode_entry(fold(entry(first), "later", then))).operation
    assert isinstance(folded, Edit)
    assert folded.config["k"].wish == math.inf
    assert folded.config["k"].base == 0
    wish: Any = folded.config["kept"].wish
    assert (math.isnan(wish["a/b"][0]), wish["a/b"][1:]) == (True, ["word", "NaN"])
