"""What a pull draws on the way: rate and time to go are there at any width, and the terminal is left as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mirror.cli.terminal.pass_line import pass_line
from mirror.pull import ProjectReport
from mirror.records.addresses import ProjectKey
from mirror.records.passes import Failure
from mirror.sandbox import Fault, Match, Sandbox
from tests.cli.conftest import Cli

FAILED = [Failure(run_id="r", item="", reason="broken") for _ in range(12)]
LONG = ProjectKey("an-entity-of-forty-characters-or-more-xx", "a-project-whose-name-is-quite-as-long-as-that")


def line(width: int, **facts: object) -> str:
    report = ProjectReport(key=LONG, kind="walk", phase="fetching", upstream=12_345, listed=9000, settled=4000)
    for name, value in facts.items():
        setattr(report, name, value)
    return "".join(pass_line(report, width=width, rate=98_765_432.0, elapsed_s=3725.0))


@given(st.integers(min_value=58, max_value=300))
def test_rate_time_to_go_and_runs_are_told_at_any_width(width: int) -> None:
    drawn = line(width, files=123_456, parts=12_345, rows=9_876_543, bytes_fetched=10**12, failed=FAILED)
    assert len(drawn) <= width
    for expected in ("98.8 MB/s", "~129:31 left", "4,000/12,345 runs", "as-long-as-that"[-9:]):
        assert expected in drawn


def test_what_is_wider_tells_more() -> None:
    facts = {"files": 12, "bytes_fetched": 10**9, "failed": FAILED}
    assert "12 errors" in line(80, **facts)
    assert "fetching" in line(120, **facts)
    assert "12 files (1.0 GB)" in line(160, **facts)
    assert "62:05" in line(160, **facts)


def test_the_time_to_go_is_told_before_the_first_batch_is_committed(cli: Cli, sandbox: Sandbox) -> None:
    for number in range(40):  # fewer than are one commit
        sandbox.state.add_run("team", "proj", f"r{number:02}", files={"f": b"%d" % number * 1000})
    cli = cli.at(sandbox).configure("team/proj", more="[pull]\npage_size_start = 40\n")
    text = cli.config.read_text(encoding="utf-8")
    cli.config.write_text(text.replace("[server]\n", "[server]\nconcurrent_transfers = 2\n"), encoding="utf-8")
    sandbox.faults.add(Fault.latency(0.15, match=Match(kind="storage")))
    with cli.at_terminal("pull") as terminal:
        before = terminal.reads(" left")
        assert "/40 runs" in before
        assert not cli("sql", "SELECT count(*) AS n FROM runs", "--json").json[0]["n"], "nothing is committed yet"
        sandbox.faults.clear()
        terminal.reads("40 new or changed")
        assert terminal.ends() == 0


def test_a_pull_at_80_columns_shows_rate_and_time_to_go(cli: Cli, sandbox: Sandbox) -> None:
    for number in range(24):
        sandbox.state.add_run("team", "a-project-with-a-long-name", f"r{number:02}", files={"f": b"x" * 300_000})
    cli = cli.at(sandbox).configure(
        "team/a-project-with-a-long-name", more="[pull]\npage_size_start = 4\npage_size_max = 4\n"
    )
    sandbox.faults.add(Fault.latency(0.15, match=Match(kind="storage")))
    with cli.at_terminal("pull") as terminal:
        terminal.reads("/24 runs")
        terminal.reads("MB/s")
        terminal.reads(" left")
        sandbox.faults.clear()
        drawn = terminal.reads("24 new or changed")
        assert terminal.ends() == 0
    frames = [part for part in drawn.replace("\n", "\r").split("\r") if "runs" in part]
    assert all(len(frame) <= 80 for frame in frames)
    assert terminal.drawn.count("\x1b[?25l") == terminal.drawn.count("\x1b[?25h"), "the cursor is shown again"
