"""`wandb-mirror sql` on a terminal: what a person types there is completed, remembered, paged, stopped and answered."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator

import pytest
from prompt_toolkit.history import InMemoryHistory

from mirror.cli.prompt.history_file import MOST_BYTES, prepared
from mirror.cli.prompt.session import _history
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.cli.conftest import COMMAND, Cli
from tests.terminal import CTRL_C, CTRL_D, TAB, Terminal

EVIL = "evil\x1b]0;title\x07\x9b2J\u202e"
UP = "\x1b[A"
FOREVER = "SELECT sum(a.range * b.range) FROM range(3000000) a, range(3000000) b;\n"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A mirror of two runs, one key of which no terminal may see."""
    with Sandbox.start() as sandbox:
        for number in range(2):
            sandbox.state.add_run(
                "team", "proj", f"r{number}", display_name=f"run {number}", group="baseline",
                config={"learning_rate": 0.1, "it's": 1, EVIL: 1}, history=[{"_step": 0, "val/loss": 1.5, EVIL: 1.0}],
            )  # fmt: skip
        cli = Cli(folder=tmp_path_factory.mktemp("asked")).at(sandbox).configure("team/proj")
        cli("pull", code=0)
        yield cli


class Prompt(Terminal):
    """The prompt, in which a page is marked and the terminal is not asked where its cursor is."""

    def __init__(self, cli: Cli, *options: str) -> None:
        env = {**cli.environment(), "PROMPT_TOOLKIT_NO_CPR": "1", "PAGER": "sed s/^/paged:/"}
        super().__init__([*COMMAND, "sql", *options], env=env, cwd=cli.folder, columns=100)

    def asks(self, typed: str, last: str) -> str:
        """Type at a new prompt; what is drawn up to a text that ends the answer."""
        self.reads("mirror> ")
        self.types(typed)
        return self.reads(last)

    def leaves(self) -> None:
        """Press Ctrl-D at a new prompt."""
        self.reads("mirror> ")
        self.types(CTRL_D)
        assert self.ends() == 0


def test_a_statement_is_completed_over_several_lines_and_answered(asked: Cli) -> None:
    with Prompt(asked) as prompt:
        prompt.asks(f"SELECT display_n{TAB}", "ame")  # of a column
        prompt.types(f", conf{TAB}")
        prompt.reads("fig")
        prompt.types(f"->>'lear{TAB}")
        prompt.reads("ning_rate'")  # of the keys of its documents
        prompt.types("\nFROM runs_up")
        prompt.reads("   ...> ")
        prompt.types(TAB)
        prompt.reads("stream")  # of a table
        prompt.types(f"\nWHERE grou{TAB}")
        prompt.reads('"group"')
        prompt.types(f" = 'b{TAB}")
        prompt.reads("aseline'")  # of what a column holds
        prompt.types("\nORDER BY 1;\n")
        answer = prompt.reads("2 rows, ")
        prompt.asks(f"SELECT sum(value) AS total FROM metrics WHERE key = 'val{TAB}", "/loss'")
        prompt.types(";\n")
        assert "total" in prompt.reads("1 row, ")
        prompt.leaves()
    assert [line.split() for line in answer.splitlines() if line.startswith("run ")] == [
        ["run", "0", "0.1"],
        ["run", "1", "0.1"],
    ]


def test_words_with_a_dot_help_and_errors_leave_the_prompt_open(asked: Cli) -> None:
    with Prompt(asked) as prompt:
        prompt.asks(".help\n", ".schema [TABLE]")
        prompt.asks(f".sche{TAB}", "ma")
        prompt.types(" metrics;\n")
        assert "timestamp   TIMESTAMP" in prompt.reads("text ")
        assert "there is no table 'metrix'" in prompt.asks(".schema metrix\n", "did you mean metrics?")
        prompt.asks(".tabels\n", "did you mean .tables?")
        assert "1 row, " in prompt.asks(
            "SELECT 1 AS one; SELEC 2; SELECT 3 AS three;\n", 'syntax error at or near "SELEC"'
        )
        prompt.asks("DROP VIEW runs;\n", "the mirror is read-only for SQL: DROP is refused")
        prompt.asks(".tables\n", "paged:artifact_files ")
        prompt.asks("SELECT 'unharmed';\n", "1 row, ")
        prompt.reads("mirror> ")
        prompt.types(".quit\n")
        assert prompt.ends() == 0
    assert "three" not in prompt.drawn.partition("syntax error")[2]


def test_ctrl_c_stops_the_query_and_takes_back_a_line_and_the_prompt_stays(asked: Cli) -> None:
    with Prompt(asked) as prompt:
        prompt.asks("SELECT 'never ended", "ended")
        prompt.types(CTRL_C)
        prompt.reads("mirror> ")
        for _ in range(20):  # Ctrl-C before the query runs takes the line back, and says nothing
            prompt.types(FOREVER)
            prompt.reads("range(3000000) b;")
            time.sleep(0.5)
            prompt.types(CTRL_C)
            if "stopped" in prompt.reads("mirror> "):
                break
        else:
            pytest.fail("no query was stopped")
        prompt.types("SELECT 6 * 7 AS answer;\n")
        assert "42" in prompt.reads("1 row, ")
        prompt.leaves()


def test_a_long_answer_is_paged_and_a_longer_one_cut(asked: Cli) -> None:
    with Prompt(asked) as prompt:
        assert "paged:" not in prompt.asks("FROM range(3);\n", "3 rows, ")
        paged = prompt.asks("FROM range(500);\n", "500 rows, ")
        assert [line.split() for line in paged.splitlines() if "499" in line] == [["paged:", "499"]]
        prompt.asks("FROM range(1000000000000);\n", "the first 1,000 rows, ")
        prompt.leaves()


def test_what_was_typed_is_remembered_for_its_owner_alone(asked: Cli) -> None:
    with Prompt(asked) as prompt:
        prompt.asks("SELECT 'remembered' AS word;\n", "1 row, ")
        prompt.leaves()
    with Prompt(asked) as prompt:
        prompt.asks(UP, "remembered")
        prompt.types("\n")
        prompt.reads("1 row, ")
        prompt.leaves()
    assert stat.S_IMODE(Home(asked.home).sql_history.stat().st_mode) == 0o600


def test_no_text_of_others_is_offered_that_a_terminal_would_act_on(asked: Cli) -> None:
    with Prompt(asked, "--json") as prompt:
        prompt.asks(f"SELECT config->>'{TAB}", "learning_rate'")
        prompt.types(CTRL_C)
        said = prompt.asks("SELECT key FROM metrics WHERE key LIKE 'evil%' LIMIT 1;\n", " s\r\n")
        assert '{"key": "evil' in said
        prompt.leaves()
    for part in ("\x1b]0;title", "\x9b", "\u202e"):
        assert part not in prompt.drawn


def test_a_history_that_grew_too_large_loses_its_oldest_half(asked: Cli) -> None:
    path = asked.folder / "typed"
    path.write_bytes(b"".join(b"\n# 2026-01-01\n+SELECT %06d;\n" % number for number in range(50_000)))
    kept = prepared(path).read_bytes()
    assert len(kept) <= MOST_BYTES // 2
    assert kept.startswith(b"\n# ")
    assert kept.endswith(b"+SELECT 049999;\n")


def test_where_nothing_can_be_written_the_prompt_remembers_while_it_is_open(asked: Cli) -> None:
    home = Home(asked.folder / "elsewhere")
    assert isinstance(_history(home), InMemoryHistory)


def test_what_is_for_later_statements_has_its_use_and_nothing_changes_what_names_mean(asked: Cli) -> None:
    with Prompt(asked) as prompt:
        prompt.asks("SET VARIABLE least = 1;\n", " s\r\n")
        prompt.asks("CREATE TEMP VIEW later AS FROM runs WHERE run_id >= 'r' || getvariable('least');\n", " s\r\n")
        assert "r1" in prompt.asks("SELECT run_id FROM later;\n", "1 row")
        assert "each statement sees one whole commit" in prompt.asks("BEGIN;\n", "hint: ")
        assert "names mean the mirror's views" in prompt.asks("USE lake;\n", "hint: ")
        assert "runs is the mirror's own" in prompt.asks("CREATE TEMP VIEW runs AS SELECT 1;\n", "hint: ")
        assert "2" in prompt.asks("SELECT count(*) FROM runs;\n", "1 row")
        prompt.leaves()
