"""The three-way merge of edits: what the other side did stands, what was wished is written, and both are told apart."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from mirror.api.rows.runs import to_run
from mirror.records.operations import Change, Edit, items, merged_tags
from mirror.replay.decide import remote_of
from mirror.replay.deliveries import edit_input
from mirror.replay.merge import Merged, Policy, Remote, merge_edit
from mirror.texts.values import DEEPEST, parse_lenient

POLICIES: list[Policy] = ["hold", "ours", "theirs"]
NUMBERS = st.integers() | st.integers(2**63, 2**90) | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=5) | st.sampled_from(["NaN", "Infinity", "value"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KEYS = st.sampled_from(["a", "b", "c", "_wandb", "value"])
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=5)
CHANGES = st.dictionaries(
    KEYS, st.builds(Change, base=VALUES | st.just(UNSET), value=VALUES | st.just(UNSET)), max_size=4
)
TAGS = st.lists(st.sampled_from("abcdef"), max_size=5, unique=True)


def remote(config: Any = None, summary: Any = None, **fields: Any) -> Remote:
    """A run upstream, its config as plain values."""
    wire = {key: {"value": value, "desc": f"about {key}"} for key, value in (config or {}).items()}
    return Remote(fields=fields, config=wire, summary=summary or {})


def strict(value: Any) -> str:
    """A value as text, in which 1, 1.0 and true differ and the order of keys does not matter."""
    return json.dumps(value, sort_keys=True)


def after(merged: Merged, before: Remote) -> Remote:
    """What the server has once everything is written."""
    return Remote(
        fields={**before.fields, **merged.fields},
        config=before.config if merged.config is None else merged.config,
        summary=before.summary if merged.summary is None else merged.summary,
    )


@given(changes=CHANGES, config=DOCUMENTS, summary=DOCUMENTS, policy=st.sampled_from(POLICIES))
def test_what_an_edit_does_not_name_stays_as_the_other_side_has_it(
    changes: dict[str, Change], config: dict[str, Any], summary: dict[str, Any], policy: Policy
) -> None:
    there = remote(config, summary)
    merged = merge_edit(Edit(config=changes, summary=changes), there, policy)
    result = after(merged, there)
    for document, whole in ((there.config, result.config), (there.summary, result.summary)):
        for key in set(document) | set(whole):
            if key not in changes:
                assert strict(document[key]) == strict(whole[key])


@given(changes=CHANGES, config=DOCUMENTS, summary=DOCUMENTS, policy=st.sampled_from(POLICIES))
def test_a_merge_ends_with_the_wish_or_with_a_clash_and_is_done_once(
    changes: dict[str, Change], config: dict[str, Any], summary: dict[str, Any], policy: Policy
) -> None:
    there = remote(config, summary)
    edit = Edit(config=changes, summary=changes)
    merged = merge_edit(edit, there, policy)
    clashed = {clash.item for clash in (*merged.clashes, *merged.yielded)}
    assert clashed <= {name for name, _ in items(edit)}
    if policy == "ours":
        assert not clashed
    if merged.clashes:
        assert policy == "hold"
        assert merged.is_empty
        return
    result = after(merged, there)
    values = {key: item["value"] for key, item in result.config.items()}
    for prefix, document in (("config.", values), ("summary.", dict(result.summary))):
        for key, change in changes.items():
            if f"{prefix}{key}" in clashed:
                continue
            if change.value is UNSET:
                assert key not in document
            else:
                assert strict(document[key]) == strict(change.value)
    for key in set(there.config) & set(result.config):
        assert result.config[key]["desc"] == there.config[key]["desc"]
    again = merge_edit(edit, result, policy)
    assert again.is_empty, "a second delivery would write again"
    assert not again.clashes


@given(base=VALUES | st.just(UNSET), wish=VALUES | st.just(UNSET), policy=st.sampled_from(POLICIES))
def test_what_nobody_touched_is_written_and_what_is_so_already_is_not(base: Any, wish: Any, policy: Policy) -> None:
    edit = Edit(summary={"k": Change(base=base, value=wish)}, config={"k": Change(base=base, value=wish)})
    untouched = {} if base is UNSET else {"k": base}
    written = merge_edit(edit, remote(untouched, untouched), policy)
    assert not written.clashes
    assert not written.yielded
    wished = {} if wish is UNSET else {"k": wish}
    assert merge_edit(edit, remote(wished, wished), policy).is_empty
    result = after(written, remote(untouched, untouched))
    assert strict(result.summary) == strict(wished)


@given(base=VALUES, wish=VALUES, theirs=VALUES)
def test_a_value_that_both_changed_is_settled_by_the_policy(base: Any, wish: Any, theirs: Any) -> None:
    edit = Edit(summary={"k": Change(base=base, value=wish)})
    there = remote(summary={"k": theirs, "other": 1})
    held, ours, left = (merge_edit(edit, there, policy) for policy in POLICIES)
    if not held.clashes:
        assert (held, ours) == (left, held)
        return
    (clash,) = held.clashes
    assert clash.item == "summary.k"
    assert str(clash)
    assert ours.summary is not None
    assert strict(ours.summary) == strict({"k": wish, "other": 1})
    assert left.is_empty
    assert left.yielded == held.clashes


@given(wish=VALUES | st.just(UNSET), theirs=VALUES | st.just(UNSET), policy=st.sampled_from(POLICIES))
def test_what_nobody_saw_is_replaced_whatever_it_is(wish: Any, theirs: Any, policy: Policy) -> None:
    change = Change(value=wish, unseen=True)
    there, wished = ({} if value is UNSET else {"k": value} for value in (theirs, wish))
    merged = merge_edit(Edit(summary={"k": change}, config={"k": change}), remote(there, there), policy)
    assert not merged.clashes
    assert strict(after(merged, remote(there, there)).summary) == strict(wished)


@pytest.mark.parametrize("before", [UNSET, None, ""])
@pytest.mark.parametrize("now", [UNSET, None, ""])
def test_absent_null_and_empty_are_one_text(before: Any, now: Any) -> None:
    there = Remote(fields={} if now is UNSET else {"notes": now}, config={}, summary={})
    for wish in (UNSET, None, ""):
        assert merge_edit(Edit(fields={"notes": Change(base="x", value=wish)}), there, "hold").is_empty
    merged = merge_edit(Edit(fields={"notes": Change(base=before, value="new")}), there, "hold")
    assert merged.fields == {"notes": "new"}
    full = Remote(fields={"notes": "x"}, config={}, summary={})
    for wish in (UNSET, None, ""):
        emptied = merge_edit(Edit(fields={"notes": Change(base="x", value=wish)}), full, "hold")
        assert edit_input(emptied) == {"notes": ""}, "null would leave the field alone"


@given(base=TAGS, wish=TAGS, theirs=TAGS)
def test_tags_keep_what_either_side_added_and_lose_what_either_removed(
    base: list[str], wish: list[str], theirs: list[str]
) -> None:
    merged = merged_tags(base, wish, theirs)
    assert set(merged) == (set(theirs) - (set(base) - set(wish))) | (set(wish) - set(base))
    assert len(merged) == len(set(merged))
    assert [tag for tag in merged if tag in theirs] == [tag for tag in theirs if tag in merged], "their order stands"
    added = [tag for tag in merged if tag not in theirs]
    assert added == [tag for tag in wish if tag in added]
    assert merged_tags(base, wish, merged) == merged
    assert merged_tags(base, base, theirs) == theirs
    assert merged_tags(base, wish, base) == [tag for tag in base if tag in wish] + [t for t in wish if t not in base]
    for policy in POLICIES:
        there = Remote(fields={"tags": theirs}, config={}, summary={})
        found = merge_edit(Edit(fields={"tags": Change(base=base, value=wish)}), there, policy)
        assert not found.clashes
        assert found.fields == ({} if merged == theirs else {"tags": merged})


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), (0, False), ("1", 1), (None, 0), ([], {})])
def test_values_of_other_types_are_other_values(one: Any, other: Any) -> None:
    for now, wish in ((one, other), (other, one)):
        merged = merge_edit(Edit(summary={"k": Change(base=now, value=wish)}), remote(summary={"k": now}), "hold")
        assert merged.summary is not None
        assert type(merged.summary["k"]) is type(wish)


def test_a_server_that_writes_a_number_or_the_order_of_keys_its_own_way_is_no_other_side() -> None:
    seen, there = {"a": 1.0, "b": [2.5, {"x": 1, "y": 2}]}, {"b": [2.5, {"y": 2, "x": 1}], "a": 1}
    edit = Edit(summary={"k": Change(base=seen, value="new"), "n": Change(base=0, value=3.0)})
    merged = merge_edit(edit, remote(summary={"k": there, "n": 0}), "hold")
    assert merged.summary == {"k": "new", "n": 3.0}
    shown = remote(summary={"k": "new", "n": 3})
    assert merge_edit(edit, shown, "hold", loosely=True).is_empty
    assert merge_edit(Edit(summary={"n": Change(base=0, value=1)}), remote(summary={"n": True}), "hold").clashes


def test_numbers_that_are_none_equal_the_texts_that_stand_for_them() -> None:
    there = remote(config={"k": math.nan}, summary={"k": math.inf, "other": -math.inf})
    same = Edit(config={"k": Change(base=1, value="NaN")}, summary={"k": Change(base=1, value="Infinity")})
    assert merge_edit(same, there, "hold").is_empty
    changed = merge_edit(Edit(summary={"k": Change(base="Infinity", value=1)}), there, "hold")
    assert json.loads(edit_input(changed)["summaryMetrics"]) == {"k": 1, "other": -math.inf}


def nested(depth: int) -> str:
    """A document so deep."""
    return '{"a":' * depth + "1" + "}" * depth


BAD = ["{", "[1]", '"text"', "7", "NaN", "", '{"a":1}}', nested(DEEPEST + 2), nested(5000), f'{{"n":{"9" * 5000}}}']


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
@pytest.mark.parametrize("document", ["config", "summaryMetrics"])
def test_a_document_that_cannot_be_read_whole_is_never_written_over(text: str, document: str) -> None:
    run = to_run(json.dumps({"id": "i", "name": "r", document: text}).encode(), "e", "p")
    key = {"k": Change(value=1)}
    with pytest.raises(ValueError, match="would lose"):
        remote_of(run, Edit(config=key) if document == "config" else Edit(summary=key))
    assert remote_of(run, Edit(fields={"notes": Change(value="n")})).config == {}


@pytest.mark.parametrize("text", [None, "null", "{}", nested(DEEPEST - 1)])
def test_a_document_that_is_absent_or_as_deep_as_may_be_takes_a_key(text: str | None) -> None:
    run = to_run(json.dumps({"id": "i", "name": "r", "summaryMetrics": text}).encode(), "e", "p")
    edit = Edit(summary={"k": Change(value=1)})
    sent = edit_input(merge_edit(edit, remote_of(run, edit), "hold"))["summaryMetrics"]
    assert parse_lenient(sent) == (parse_lenient(text) or {}) | {"k": 1}


def test_a_key_and_a_text_of_somebody_else_are_written_back_letter_for_letter() -> None:
    theirs = '{"\\ud83d": "\\ud800", "big": 123456789012345678901234567890, "nan": NaN, "nul": "\\u0000", "": []}'
    run = to_run(json.dumps({"id": "i", "name": "r", "summaryMetrics": theirs}).encode(), "e", "p")
    edit = Edit(summary={"k": Change(value=1)})
    sent = json.loads(edit_input(merge_edit(edit, remote_of(run, edit), "hold"))["summaryMetrics"])
    assert json.dumps({key: value for key, value in sent.items() if key != "k"}) == json.dumps(json.loads(theirs))
