"""Values survive exactly: from the server's answer through the lake to an answer in SQL. One pull serves all tests."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Fault, Sandbox
from mirror.texts.values import DEEPEST
from tests.mirroring import ENTITY, PROJECT, Mirror

NON_FINITE = {"nan": math.nan, "inf": math.inf, "minus": -math.inf, "nested": {"list": [math.nan, 1.5]}}
INTEGERS = [2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**64 - 1, 2**64 + 1, -(10**40) - 7, 10**4299 + 3]
DOUBLES = {"z": -0.0, "small": 5e-324, "large": 1.7976931348623157e308, "third": 1 / 3, "tenth": 0.1}
NAMES = [
    "plain",
    "sla/sh/es",
    "../../etc/passwd",
    "/absolute",
    "C:\\windows",
    "line\nbreak\r\n\ttab",
    "quote ' \" ` ; -- DROP TABLE runs",
    "😀 ünïcödé 漢字 \u202eright-to-left",
    "combi\u0301ning",
    "",
    " outer blanks ",
    '{"json": null}',
    "x" * 5000,
]
CONFIGS: list[tuple[str, Any]] = [
    ("null", None),
    ("", None),
    ("{nope", None),
    ("[1, NaN]", [1, "NaN"]),
    ('"text"', "text"),
    ("3", 3),
    (
        '{"a": {"value": 1, "desc": null}, "b": {"no": 2}, "c": 3, "_wandb": {"value": {}}, "wandb_version": 1}',
        {"a": 1, "b": {"no": 2}, "c": 3},
    ),
    ('{"a": {"value": "x\n\t\x01y"}}', {"a": "x\n\t\x01y"}),
    ('{"a": {"value": 1}, "a": {"value": 2}}', {"a": 2}),
    ('{"a": {"value": null}}', {"a": None}),
    ("{}", {}),
]
AWKWARD_KEYS = {
    "": 1, "a.b": 2, "a/b": 3, 'qu"ote': 4, "it's": 5, " space ": 6, "new\nline": 7, "é😀": 8, "$ref": 9, "a[0]": 10,
    "back\\slash": 11, "nul\0": 12, "UPPER": 13, "upper": 14,
}  # fmt: skip
BIG = {f"key-{number}": "é" * 1000 for number in range(1200)}
TOO_DEEP = [DEEPEST + 1, 600, 990, 5_000, 100_000]
TIMES = [
    ("2023-11-05T17:46:35", "2023-11-05T17:46:35"),
    ("2023-11-05T17:46:35Z", "2023-11-05T17:46:35"),
    ("2023-11-05T17:46:35.123456789Z", "2023-11-05T17:46:35.123456"),
    ("2023-11-05T17:46:35.5", "2023-11-05T17:46:35.500000"),
    ("2023-11-05T17:46:35+02:00", "2023-11-05T15:46:35"),
    ("0001-01-01T00:00:00", "0001-01-01T00:00:00"),
    ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999"),
    ("yesterday", None),
]
ODD_IDS = ["../x", "..", "/etc/cron.d/evil", "a b", "it's", "ünï😀", "%2e%2e", "a\\b", "CON", "x" * 300]


def nested(depth: int) -> str:
    """A document of so many levels."""
    return '{"k":' + "[" * (depth - 1) + "NaN" + "]" * (depth - 1) + "}"


def fill(sandbox: Sandbox) -> None:
    """One run for each case, named for it."""

    def add(run_id: str, **fields: Any) -> None:
        sandbox.state.add_run(ENTITY, PROJECT, run_id, **fields)

    add("bare", summary=NON_FINITE, nonfinite="bare")
    add("text", summary=NON_FINITE, nonfinite="text")
    for place, number in enumerate(INTEGERS):
        add(f"integer-{place}", summary={"n": number}, config={"n": number})
    add("digits", summary_text='{"n":' + "7" * 5000 + ',"m":1}')
    add("doubles", summary=DOUBLES)
    for place, name in enumerate(NAMES):
        add(f"name-{place}", display_name=name, notes=name, description=name, tags=[name, "b"], group=name,
            job_type=name, commit=name, sweep=name)  # fmt: skip
    add("nul", display_name="a\0b", tags=["t\0"], config_text='{"k":{"value":"v\0"}}')
    add("bad\0id")
    add("surrogate", display_name="", summary_text='{"\\ud800": "\\udfff", "ok": "\\ud83d\\ude00"}')
    add("big", config=BIG)
    for place, (wire, _) in enumerate(CONFIGS):
        add(f"config-{place}", config_text=wire)
    add("absent", user=None)
    sandbox.state.edit_run(ENTITY, PROJECT, "absent", config_text=None, summary_text=None, system_metrics_text=None)
    add("keys", config=AWKWARD_KEYS, summary=AWKWARD_KEYS, system_metrics=AWKWARD_KEYS)
    add("deep", summary_text=nested(DEEPEST))
    for depth in TOO_DEEP:
        add(f"deep-{depth}", summary_text=nested(depth), config_text=nested(depth))
    for place, (wire, _) in enumerate(TIMES):
        add(f"time-{place}", created_at=wire, heartbeat_at=wire)
    for run_id in ODD_IDS:
        add(run_id, display_name="marker-name", group="marker-group")


def twist(answer: Any) -> None:
    """What the sandbox's state cannot hold: nulls where lists are usual, half a surrogate pair."""
    for edge in answer["data"]["project"]["runs"]["edges"]:
        if edge["node"]["name"] == "absent":
            edge["node"].update(tags=None, historyKeys=None, heartbeatAt=None, historyLineCount=None)
        if edge["node"]["name"] == "surrogate":
            edge["node"]["displayName"] = "a\ud800b"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Mirror]]:
    """All cases, pulled once."""
    with Sandbox.start() as sandbox:
        home = Home(tmp_path_factory.mktemp("values") / "home")
        mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home)
        fill(sandbox)
        fault = Fault.lie(twist)
        sandbox.faults.add(fault)
        report = mirror.pull()
        assert report.errors == []
        sandbox.faults.remove(fault)
        yield sandbox, mirror


@pytest.fixture(scope="module")
def held(world: tuple[Sandbox, Mirror]) -> dict[str, dict[str, Any]]:
    """Every run as the lake answers it, by run id."""
    return {row["run_id"]: row for row in world[1].ask("SELECT * FROM lake.runs")}


@pytest.mark.parametrize("spelling", ["bare", "text"])
def test_non_finite_numbers_of_a_summary_survive_as_the_strings_that_wandb_uses(
    world: tuple[Sandbox, Mirror], held: dict[str, dict[str, Any]], spelling: str
) -> None:
    expected = {"nan": "NaN", "inf": "Infinity", "minus": "-Infinity", "nested": {"list": ["NaN", 1.5]}}
    assert held[spelling]["summary"] == expected
    assert held[spelling]["summary_wire"] == world[0].state.run(ENTITY, PROJECT, spelling).summary_text


@pytest.mark.parametrize("place", range(len(INTEGERS)))
def test_integers_of_any_size_keep_every_digit(held: dict[str, dict[str, Any]], place: int) -> None:
    row = held[f"integer-{place}"]
    assert row["summary"]["n"] == INTEGERS[place]
    assert type(row["summary"]["n"]) is int
    assert row["config"] == {"n": INTEGERS[place]}


def test_an_integer_of_5000_digits_keeps_them_as_text(
    world: tuple[Sandbox, Mirror], held: dict[str, dict[str, Any]]
) -> None:
    assert held["digits"]["summary"] == {"n": "7" * 5000, "m": 1}
    assert held["digits"]["summary_wire"] == '{"n":' + "7" * 5000 + ',"m":1}'
    assert world[1].ask("SELECT repeat('7', 5000)::JSON AS n") == [{"n": "7" * 5000}]


def test_minus_zero_and_the_smallest_and_largest_doubles_survive(held: dict[str, dict[str, Any]]) -> None:
    assert held["doubles"]["summary"] == DOUBLES
    assert math.copysign(1, held["doubles"]["summary"]["z"]) == -1


@pytest.mark.parametrize("place", range(len(NAMES)))
def test_names_notes_tags_and_groups_survive_exactly(held: dict[str, dict[str, Any]], place: int) -> None:
    row = held[f"name-{place}"]
    columns = ("display_name", "notes", "description", "group", "job_type", "commit", "sweep")
    assert {row[column] for column in columns} == {NAMES[place]}
    assert row["tags"] == [NAMES[place], "b"]


def test_any_name_finds_its_run_again(world: tuple[Sandbox, Mirror]) -> None:
    with world[1].open() as ask:
        for place, name in enumerate(NAMES):
            assert {"run_id": f"name-{place}"} in ask("SELECT run_id FROM runs WHERE display_name = ?", name)


def test_a_nul_becomes_its_symbol(held: dict[str, dict[str, Any]]) -> None:
    row = held["nul"]
    assert (row["display_name"], row["tags"], row["config"]) == ("a␀b", ["t␀"], {"k": "v\0"})
    assert json.loads(row["config_wire"]) == {"k": {"value": "v\0"}}


def test_a_run_whose_id_holds_a_nul_is_left_behind_with_a_reason(
    world: tuple[Sandbox, Mirror], held: dict[str, dict[str, Any]]
) -> None:
    assert "bad␀id" not in held
    assert [row["run_id"] for row in world[1].ask("SELECT * FROM failures")] == ["bad␀id"]


def test_a_lone_surrogate_becomes_the_replacement_character(held: dict[str, dict[str, Any]]) -> None:
    assert held["surrogate"]["display_name"] == "a\ufffdb"
    assert held["surrogate"]["summary"] == {"\ufffd": "\ufffd", "ok": "😀"}


def test_a_config_over_1_mb_survives(world: tuple[Sandbox, Mirror], held: dict[str, dict[str, Any]]) -> None:
    assert held["big"]["config"] == BIG
    assert held["big"]["config_wire"] == world[0].state.run(ENTITY, PROJECT, "big").config_text


@pytest.mark.parametrize("place", range(len(CONFIGS)))
def test_a_config_of_any_kind_is_queryable_or_null_and_its_wire_text_is_kept(
    held: dict[str, dict[str, Any]], place: int
) -> None:
    wire, expected = CONFIGS[place]
    assert held[f"config-{place}"]["config"] == expected
    assert held[f"config-{place}"]["config_wire"] == wire


def test_absent_documents_users_and_times_are_null_and_absent_tags_are_none(held: dict[str, dict[str, Any]]) -> None:
    for column in ("user", "user_name", "config", "summary", "system_metrics", "config_wire", "heartbeat_at"):
        assert held["absent"][column] is None, column
    assert held["absent"]["tags"] == []


def test_keys_with_dots_slashes_quotes_and_spaces_survive(
    world: tuple[Sandbox, Mirror], held: dict[str, dict[str, Any]]
) -> None:
    for column in ("config", "summary", "system_metrics"):
        assert held["keys"][column] == AWKWARD_KEYS
    query = "SELECT summary ->> '$.\"a.b\"' AS dotted FROM runs WHERE run_id = 'keys'"
    assert world[1].ask(query) == [{"dotted": "2"}]


def test_a_document_as_deep_as_allowed_is_queryable(held: dict[str, dict[str, Any]]) -> None:
    value = held["deep"]["summary"]["k"]
    while isinstance(value, list):
        (value,) = value
    assert value == "NaN"


@pytest.mark.parametrize("depth", TOO_DEEP)
def test_a_deeper_document_is_kept_as_its_wire_text(held: dict[str, dict[str, Any]], depth: int) -> None:
    row = held[f"deep-{depth}"]
    assert (row["summary"], row["config"]) == (None, None)
    assert row["summary_wire"] == nested(depth)


@pytest.mark.parametrize("place", range(len(TIMES)))
def test_times_become_utc_and_keep_their_text(held: dict[str, dict[str, Any]], place: int) -> None:
    wire, expected = TIMES[place]
    row = held[f"time-{place}"]
    assert (row["created_at"], row["heartbeat_at"]) == (expected, expected)
    assert (row["created_at_text"], row["heartbeat_at_text"]) == (wire, wire)


def test_names_from_the_server_never_become_paths(
    world: tuple[Sandbox, Mirror], held: dict[str, dict[str, Any]]
) -> None:
    root: Path = world[1].home.root
    files = [path.relative_to(root).as_posix() for path in root.rglob("*")]
    assert files
    for text in (ENTITY, PROJECT, "marker", "evil", *ODD_IDS, *filter(None, NAMES)):
        assert not any(text in name.split("/") or f"={text}" in name for name in files), text
    assert [path.name for path in root.parent.iterdir()] == [root.name]
    assert set(ODD_IDS) <= set(held)


def test_what_was_taken_once_is_never_written_again(world: tuple[Sandbox, Mirror]) -> None:
    sandbox, mirror = world
    fault = Fault.lie(twist)
    sandbox.faults.add(fault)
    (project,) = mirror.pull(force_walk=True).projects
    sandbox.faults.remove(fault)
    assert (project.error, project.written, project.gone) == (None, 0, 0)
    assert project.unchanged == len(sandbox.state.project(ENTITY, PROJECT).runs) - 1


def test_a_nul_never_hides_rows_from_a_query(world: tuple[Sandbox, Mirror]) -> None:
    sandbox, mirror = world
    sandbox.state.add_run(ENTITY, PROJECT, "late", display_name="q")  # a second Parquet file, with clean statistics
    assert mirror.pull(runs=("late",)).errors == []
    found = mirror.ask("SELECT run_id FROM runs WHERE display_name LIKE 'a␀%' OR display_name = 'q' ORDER BY 1")
    assert found == [{"run_id": "late"}, {"run_id": "nul"}]
