"""Answers become records; lies become bad runs; nothing else ever comes out."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mirror.api.rows.lenient import sound_json
from mirror.api.rows.pages import BadRun
from mirror.api.rows.runs import made_of, to_run, to_run_or_bad, to_sweep
from mirror.api.rows.scalars import to_int
from mirror.api.rows.writes import headers_in
from mirror.records.runs import RunRecord

NODE: dict[str, Any] = {
    "id": "UnVuOjE=",
    "name": "abc123",
    "displayName": "brave-owl-1",
    "state": "finished",
    "tags": ["a", "b"],
    "user": {"name": "Sandy", "username": "sandy"},
    "createdAt": "2023-11-05T17:46:35",
    "heartbeatAt": "2023-11-05T18:00:00Z",
    "projectId": "7",
    "readOnly": False,
    "historyLineCount": 12,
    "historyKeys": {"lastStep": 11},
    "config": '{"lr": {"value": 0.1}}',
    "summaryMetrics": "{}",
    "systemMetrics": None,
}
FIELDS = [*NODE, "sweepName", "group", "jobType", "commit", "notes", "description"]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from(["NaN", "{}", "12", "1e3"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def run_of(**changes: Any) -> RunRecord:
    return to_run(sound_json(json.dumps({**NODE, **changes}).encode()), "e", "p")


def test_a_run_keeps_the_exact_texts_it_came_with() -> None:
    text = '{ "lr" : {"value":1e-1},\n "big": {"value": 12345678901234567890}, "nan": NaN }'
    run = run_of(config=text)
    assert run.config_text == text
    assert run.path == "e/p/abc123"
    assert (run.user, run.user_name, run.project_internal_id, run.tags) == ("sandy", "Sandy", "7", ("a", "b"))
    assert run.created_at_text == "2023-11-05T17:46:35"
    assert run.created_at is not None
    assert run.created_at.isoformat() == "2023-11-05T17:46:35+00:00"


@pytest.mark.parametrize("field", ["historyKeys", "config", "summaryMetrics", "systemMetrics"])
@pytest.mark.parametrize(("value", "parsed"), [('{"a": 1}', {"a": 1}), ({"a": 1}, {"a": 1}), (None, None)])
def test_a_document_may_come_as_text_or_as_an_object(field: str, value: object, parsed: object) -> None:
    run = run_of(**{field: value})
    held = {
        "historyKeys": run.history_keys_text,
        "config": run.config_text,
        "summaryMetrics": run.summary_text,
        "systemMetrics": run.system_metrics_text,
    }[field]
    assert (None if held is None else json.loads(held)) == parsed


@pytest.mark.parametrize(
    ("value", "count"), [(12, 12), ("12", 12), (12.0, 12), (None, None), ("9007199254740993", 2**53 + 1)]
)
def test_a_count_may_come_as_number_or_text(value: Any, count: int | None) -> None:
    assert run_of(historyLineCount=value).history_line_count == count


@pytest.mark.parametrize("value", ["twelve", 12.5, "1e400", 2**63, "9" * 5000, float("inf"), float("nan")])
def test_a_count_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        to_int(value)


def test_missing_people_and_tags_are_nothing_special() -> None:
    run = run_of(user=None, tags=None)
    assert (run.user, run.user_name, run.tags) == (None, None, ())


def test_a_time_that_makes_no_sense_keeps_its_text() -> None:
    run = run_of(createdAt="once upon a time")
    assert (run.created_at, run.created_at_text) == (None, "once upon a time")


@pytest.mark.parametrize(
    ("lie", "lost"),
    [
        ({"tags": "a"}, {"tags"}),
        ({"state": 3}, {"state"}),
        ({"createdAt": 5}, {"created_at", "created_at_text"}),
        ({"user": []}, {"user", "user_name"}),
        ({"historyLineCount": "many"}, {"history_line_count"}),
        ({"displayName": {}, "notes": 7}, {"display_name", "notes"}),
    ],
)
def test_a_field_that_lies_about_its_type_is_named_and_costs_no_other(lie: dict[str, Any], lost: set[str]) -> None:
    run, sound = run_of(**lie), run_of()
    assert set(run.flaws) == lost
    assert all(reason and "\n" not in reason and len(reason) < 500 for reason in run.flaws.values())
    kept = set(run.__struct_fields__) - lost - {"flaws", "fingerprint", "untold"}
    assert {name: getattr(run, name) for name in kept} == {name: getattr(sound, name) for name in kept}


def test_a_field_that_the_server_could_not_serve_is_named_with_its_words() -> None:
    run = to_run(json.dumps({**NODE, "config": None}).encode(), "e", "p", failed={"config": "it broke", "files": "no"})
    assert run.flaws == {"config_text": "it broke"}


@pytest.mark.parametrize(
    "node", [b"null", b"[]", b"7", b'{"id": "x"}', b'{"id": "x", "name": ""}', b'{"id": null, "name": null}']
)
def test_a_row_that_is_no_run_is_a_bad_run(node: bytes) -> None:
    bad = to_run_or_bad(node, "e", "p")
    assert isinstance(bad, BadRun)
    assert bad.run_id is None


@given(st.dictionaries(st.sampled_from(FIELDS), values, max_size=6), values)
@example({"historyLineCount": float("inf")}, None)
@example({"displayName": "\ud800"}, "\udfff")
def test_no_answer_whatever_spoils_its_page(changes: dict[str, Any], other: Any) -> None:
    for node in ({**NODE, **changes}, other):
        result = to_run_or_bad(sound_json(json.dumps(node).encode()), "e", "p")
        msgspec.msgpack.encode(result)  # every text can be stored as UTF-8
    with contextlib.suppress(ValueError):
        to_sweep(sound_json(json.dumps({**NODE, **changes}).encode()), "e", "p")


@given(
    st.binary(max_size=40)
    | st.text(st.characters(exclude_categories=()), max_size=20).map(lambda text: json.dumps({"a": text}).encode())
)
@example(b"[" * 100_000 + b"]" * 100_000)
@example(b'{"c": "\xff"}')
@example(b'{"a": NaN, "b": [-Infinity], "c": "\xff"}')
def test_any_body_becomes_sound_json_or_a_value_error(body: bytes) -> None:
    try:
        sound = sound_json(body)
    except ValueError:
        return
    json.dumps(msgspec.json.decode(sound), ensure_ascii=False).encode()


def test_halves_of_surrogate_pairs_never_reach_a_record() -> None:
    assert run_of(displayName="a\ud800b", notes="\udc00").display_name == "a\ufffdb"
    assert run_of(displayName="🦉").display_name == "🦉"


def test_bare_tokens_become_the_spelling_in_quotes() -> None:
    body = b'{"a": NaN, "b": Infinity, "c": -Infinity, "d": 12345678901234567890123}'
    assert json.loads(sound_json(body)) == {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 12345678901234567890123}


def test_a_fingerprint_moves_with_every_field_but_the_readers_rights() -> None:
    base = run_of().fingerprint
    assert base == run_of().fingerprint == run_of(readOnly=True).fingerprint
    changes: list[dict[str, Any]] = [
        {"displayName": "other"},
        {"tags": ["a"]},
        {"tags": ["a,b"]},
        {"notes": ""},
        {"state": "failed"},
        {"heartbeatAt": "2023-11-05T18:00:01Z"},
        {"config": '{"lr": {"value": 0.2}}'},
        {"historyLineCount": 13},
        {"group": "brave-owl-1", "displayName": None},
    ]
    prints = [run_of(**change).fingerprint for change in changes]
    assert len({base, *prints}) == len(changes) + 1


def test_a_fingerprint_is_the_same_on_every_python() -> None:
    assert run_of().fingerprint == "f0b5623888d31625d29efcd95f9935b6"


def test_what_a_run_is_made_of_are_fields_of_its_record() -> None:
    nested = {"user.name", "user.username"}
    made = {made for name in [*FIELDS, "updatedAt", "host", *nested] for made in made_of(name)}
    assert made <= set(RunRecord.__struct_fields__)
    assert {"storage_id", "user_name"} <= made


def test_what_an_answer_does_not_have_is_untold_and_what_is_null_is_told() -> None:
    node = {name: value for name, value in NODE.items() if name not in {"tags", "createdAt", "id"}}
    run = to_run(json.dumps({**node, "notes": None, "user": {"username": "sandy"}}).encode(), "e", "p")
    assert {"tags", "created_at", "created_at_text", "storage_id", "user_name"} <= run.untold
    assert not run.untold & {"notes", "user", "state"}
    assert run.tells("notes")
    assert not run.tells("tags")


def test_a_name_of_the_user_that_cannot_be_read_costs_that_name_alone() -> None:
    assert set(run_of(user={"name": 7, "username": "sandy"}).flaws) == {"user_name"}
    run = to_run(json.dumps(NODE).encode(), "e", "p", failed={"user.name": "it broke"})
    assert (run.flaws, run.user) == ({"user_name": "it broke"}, "sandy")


def test_reading_a_run_looks_up_no_type_of_ours_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """msgspec resolves every annotation each time: that took longer than reading the run."""

    def lookup(shape: object) -> None:
        raise AssertionError(f"the fields of {shape} are asked for again")

    monkeypatch.setattr(msgspec.structs, "fields", lookup)
    assert to_run(json.dumps(NODE).encode(), "e", "p").user == "sandy"


def test_headers_of_an_upload_have_no_blanks_around_them() -> None:
    lines = ["Content-Type: text/plain", "x-amz-meta:a:b ", None, "", "nonsense", ": nameless"]
    assert headers_in(lines) == {"Content-Type": "text/plain", "x-amz-meta": "a:b"}
