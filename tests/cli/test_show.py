"""`show` is a page: long documents are folded, and every time is one of the reader's clock, or UTC where he says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mirror.cli.terminal.documents import MOST_KEYS, folded, keys_line, logged_keys
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli

MANY = {f"key{number:03}": number for number in range(100)}
LONG = list(range(5000))


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A mirror of a run that has much of everything."""
    with Sandbox.start() as sandbox:
        sandbox.state.add_run(
            "team", "proj", "wide", config={**MANY, "nested": {"layers": [64, 10]}}, summary={"histogram": LONG},
            history=[{"_step": step, **{f"m/{name}": step for name in MANY}} for step in range(3)],
            created_at="2026-01-01T23:30:00Z", heartbeat_at="2026-07-01T23:30:00Z",
        )  # fmt: skip
        sandbox.state.add_run("team", "proj", "wide2", display_name="wide", created_at="2026-01-01T23:30:00Z")
        cli = Cli(folder=tmp_path_factory.mktemp("wide")).at(sandbox).configure("team/proj")
        cli("pull", code=0)
        yield cli


def test_a_run_is_a_page_that_says_what_it_leaves_out(wide: Cli) -> None:
    said = wide.using(COLUMNS="80")("show", "team/proj/wide", code=0).out
    lines = said.splitlines()
    assert len(lines) < 80
    assert all(len(line) <= 80 for line in lines)
    assert '  "key000": 0' in lines
    assert f"  … {101 - MOST_KEYS} more keys: --all shows them" in lines
    assert f"{'keys':20} 100: m/key000, m/key001, m/key002, … (--keys lists all)" in lines
    assert next(line for line in lines if "histogram" in line).endswith("…")


def test_all_keys_are_a_list_and_all_values_a_document(wide: Cli) -> None:
    keys = wide("show", "team/proj/wide", "--keys", code=0).out.splitlines()[2:]
    assert [line.split() for line in keys[:2]] == [["m/key000", "number", "3"], ["m/key001", "number", "3"]]
    assert len(keys) >= 100
    unabridged = wide("show", "team/proj/wide", "--all", code=0).out
    for expected in ('"key099": 99', "      64,\n      10\n", "    4999\n", '"m/key099": {'):
        assert expected in unabridged
    shown = wide("show", "team/proj/wide", "--json", code=0).json
    assert (shown["summary"]["histogram"], shown["config"]["key099"]) == (LONG, 99)
    assert "name one of them" in wide.fails(3, "show", "team/proj/wide", "--keys", "--json").hint


@pytest.mark.parametrize(
    "keys",
    [None, "text", [], {}, {"keys": []}, {"keys": {"a": None}}, {"keys": {"a": {"typeCounts": [1, {"count": "x"}]}}}],
)
def test_keys_of_any_form_are_counted_or_left_as_they_are(keys: Any) -> None:
    found = logged_keys(keys)
    assert found in (None, [("a", "", 0)], [("a", "None", 0)])
    assert found is None or keys_line(found, width=80) == "1: a (--keys lists all)"
    assert folded(keys, width=20) is not None


def test_times_are_those_of_the_readers_clock(wide: Cli) -> None:
    berlin = wide.using(TZ="Europe/Berlin")
    assert "2026-01-02 00:30:00 " in berlin("runs", "--limit", "1", "--columns", "created_at,run_id", code=0).out
    shown = berlin("show", "team/proj/wide", code=0).out
    assert "created_at           2026-01-02 00:30:00\nheartbeat_at         2026-07-02 01:30:00\n" in shown
    assert "2026-01-02 00:30" in berlin.fails(2, "show", "wid").hint


def test_times_are_utc_for_programs_for_sql_and_where_it_is_asked_for(wide: Cli) -> None:
    berlin = wide.using(TZ="Europe/Berlin")
    query = "SELECT created_at FROM runs WHERE run_id = 'wide' AND created_at = '2026-01-01 23:30:00'"
    assert "2026-01-01 23:30:00\n" in berlin("sql", query, code=0).out
    for said in (
        wide("show", "team/proj/wide", "--utc", code=0).out,
        wide("runs", "--utc", "--limit", "1", code=0).out,
    ):
        assert "2026-01-01 23:30:00Z" in said
    (row, _) = berlin("runs", "--columns", "created_at", "--json", code=0).json
    assert row == {"created_at": "2026-01-01T23:30:00"}
