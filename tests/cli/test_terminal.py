"""No text of others makes a terminal do something, nor forges a line: whatever the command, on both streams."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.sandbox import Fault, Match, Sandbox
from mirror.sandbox.state.records import ConsoleLine
from mirror.texts.amounts import span
from mirror.texts.visible import visible, visible_json
from tests.cli.conftest import COMMAND, Cli, Outcome
from tests.soaking import thin
from tests.terminal import Terminal, plain

FORGED = "forged: a line of its own"
EVIL = f"x\x1b]0;title\x07\x1b[2J\x9b31m\u202egnp.exe\u2028\u2066\x7f\n{FORGED}\r{FORGED}"
BROKEN = f"boom {EVIL}"
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
JOINED = "👩\u200d🔬"  # one picture of two, held together by a joiner


def acts(text: str) -> set[str]:
    """What a terminal would act on."""
    kinds = {character: unicodedata.category(character) for character in text}
    return {one for one, kind in kinds.items() if kind in {"Cc", "Cf", "Zl", "Zp"} and one not in "\n\u200d"}


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A mirror of a project in which every text that a person chose is hostile."""
    with Sandbox.start() as sandbox:
        for run_id, state in (("r1", "finished"), ("r2", "running")):
            sandbox.state.add_run(
                "team", "proj", run_id, display_name=EVIL, notes=EVIL, tags=[EVIL], group=EVIL, job_type=EVIL,
                config={EVIL: EVIL, "joined": JOINED}, summary={EVIL: EVIL}, system_metrics={EVIL: 1}, state=state,
                history=[{"_step": 0, EVIL: 1.0, "text": EVIL}], console=[ConsoleLine(line=EVIL)],
                files={f"{EVIL}.txt": b"1", "plain.txt": b"2"},
            )  # fmt: skip
        sandbox.state.add_artifact("team", "proj", "set", files={"a": b"1"}, run="r1")
        sandbox.state.add_run("team", "proj", "r3", config={"a": 1})
        sandbox.faults.add(
            Fault.graphql_error(BROKEN, match=Match(kind="graphql", contains_run="r3", operation="MirrorRuns"))
        )
        cli = Cli(folder=tmp_path_factory.mktemp("evil")).at(sandbox).configure("team/proj")
        assert_harmless(cli("pull", code=9))
        cli("edit", "team/proj/r1", "--notes", EVIL, "--add-tag", f"{EVIL} 2", code=0)
        yield cli


def assert_harmless(said: Outcome) -> None:
    for stream in (said.out, said.err):
        assert acts(stream) == set()
        assert not [line for line in stream.splitlines() if line.startswith("forged")]


RUN = "team/proj/r1"


TYPED = (
    ("runs", "--columns", "path,display_name,notes,tags,group,state"),
    ("show", RUN),
    ("show", RUN, "--keys"),
    ("show", RUN, "--all"),
    ("status",),
    ("status", RUN),
    ("status", "team/proj/r3"),
    ("history", RUN),
    ("history", RUN, "--plot"),
    ("history", RUN, "team/proj/r2", "--plot"),
    ("compare", RUN, "team/proj/r2", "--all"),
    ("runs", "--group-by", f"tags,group,config.{EVIL}"),
    ("history", RUN, "--system"),
    ("sql", "SELECT display_name, config, tags FROM runs"),
    ("sql", f'SELECT 1 AS "{EVIL}"'),
    ("sql", f'SELECT * FROM "{EVIL}"'),
    ("sql", f"SELECT error('{EVIL}')"),
    ("outbox",),
    ("outbox", "diff"),
    ("outbox", "diff", "--offline"),
    ("edit", "--filter", "{}", "--state", "failed", "--notes", EVIL, "--dry-run"),
    ("replay", "--dry-run"),
    ("checkout", RUN, "out"),
    ("checkout", "team/proj/r2", "out2", "--json"),
    ("show", f"team/proj/{EVIL}"),
    ("runs", "--filter", f'{{"{"x"}": "\\u009b"}}'),
    ("show", RUN, EVIL),
    ("runs", "--limit", EVIL),
    (f"--{EVIL}",),
    ("pull", RUN),
    ("pull", "--dry-run", "--reconcile"),
    ("verify",),
    ("doctor",),
    ("unit",),
)
# Forms of one command that draw with the same words as another one of these.
ALIKE = {
    ("show", RUN, "--keys"), ("status", RUN), ("history", RUN, "team/proj/r2", "--plot"), ("history", RUN, "--system"),
    ("sql", f'SELECT * FROM "{EVIL}"'), ("outbox", "diff"), ("checkout", "team/proj/r2", "out2", "--json"),
    ("show", RUN, EVIL), ("runs", "--limit", EVIL), ("pull", "--dry-run", "--reconcile"), ("verify",), ("unit",),
}  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    thin(
        {visible(" ".join(arguments))[:60]: arguments for arguments in TYPED},
        keep=[visible(" ".join(arguments))[:60] for arguments in TYPED if arguments not in ALIKE],
    ),
)
def test_no_command_repeats_what_a_terminal_acts_on(evil: Cli, arguments: tuple[str, ...]) -> None:
    assert_harmless(evil(*arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs", "--columns", "display_name,notes", "--json"),
        ("show", RUN, "--json"),
        ("status", "--json"),
        ("status", RUN, "--json"),
        ("history", RUN, "--json"),
        ("sql", "SELECT display_name, config FROM runs", "--json"),
        ("outbox", "list", "--json"),
        ("pull", "team/proj/r3", "--json"),
    ],
    ids=" ".join,
)
def test_json_is_harmless_as_well_and_loses_nothing(evil: Cli, arguments: tuple[str, ...]) -> None:
    said = evil(*arguments)
    assert_harmless(said)
    assert json.dumps(said.json, ensure_ascii=False)
    if arguments[0] in {"runs", "show", "sql"}:
        assert EVIL in texts_of(said.json)


def texts_of(value: Any) -> set[str]:
    """Every text in a JSON value."""
    if isinstance(value, dict):
        return set(value).union(*map(texts_of, value.values()))
    if isinstance(value, list):
        return set().union(*map(texts_of, value))
    return {value} if isinstance(value, str) else set()


def test_a_terminal_itself_is_told_nothing_by_texts_of_others(evil: Cli) -> None:
    """On a terminal, colours and widths are in play that a pipe does not have, and CSV is for a person."""
    program = " ".join(COMMAND)
    typed = " && ".join(
        f"{program} {arguments}"
        for arguments in (f"show {RUN}", f"show {RUN} --all", "runs --csv --columns notes", f"history {RUN} --csv")
    )
    with Terminal(["sh", "-c", typed], env=evil.environment(), cwd=evil.folder) as terminal:
        assert terminal.ends() == 0
    assert "\x1b[" in terminal.drawn, "our own colours are there"
    for evil_part in ("\x1b]", "\x1b[2J", "\x9b", "\u202e", "\u2066", "\u2028", "\x07", "\x7f"):
        assert evil_part not in terminal.drawn
    assert not [line for line in plain(terminal.drawn).splitlines() if line.startswith("forged")]


def test_programs_get_csv_as_it_was_logged(evil: Cli) -> None:
    said = evil("sql", "SELECT display_name FROM runs WHERE run_id = 'r1'", "--csv", code=0)
    assert list(csv.reader(io.StringIO(said.out, newline=""))) == [["display_name"], [EVIL]]


def test_pictures_that_are_joined_stay_joined(evil: Cli) -> None:
    assert JOINED in evil("show", RUN, code=0).out


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_visible_is_harmless_and_json_stays_equal(text: str) -> None:
    assert not {unicodedata.category(one) for one in visible(text)} & {"Cc", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(one) for one in visible(text)} & DIRECTIONS
    assert json.loads(visible_json(json.dumps(text, ensure_ascii=False))) == text


def test_a_wait_that_a_server_asks_for_by_mistake_is_told_without_its_digits() -> None:
    assert span(1e300) == span(1e12) == "more than 100 years"
    assert span(3 * 86400) == "3 d"
