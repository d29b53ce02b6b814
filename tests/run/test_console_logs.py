"""What a run printed: the lines that the SDK reads, in its order, the newest ones when asked."""

from __future__ import annotations

import datetime as dt
import pickle
from typing import Any

import pytest

from mirror import Api, NotMirrored
from mirror.sandbox import Sandbox
from mirror.sandbox.state.records import ConsoleLine
from mirror.store.read.console import ConsoleSpan, read_console
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.run.world import World, offline


def fields(line: Any) -> tuple[Any, ...]:
    return line.number, line.timestamp, line.level, line.label, line.content


def test_all_lines_are_those_that_the_sdk_reads(world: World) -> None:
    lines = world.same("talks", lambda run: [fields(line) for line in run.console_logs()])
    assert len(lines) == 2345
    assert {line[2] for line in lines} == {"", "error"}
    assert world.same("empty", lambda run: [fields(line) for line in run.console_logs()]) == []


@pytest.mark.parametrize("last", [1, 3, 1000, 2344, 2345, 5000, 0, -1])
def test_the_newest_lines_come_alone_and_oldest_first(world: World, last: int) -> None:
    world.same("talks", lambda run: [line.number for line in run.console_logs(last=last)])


@pytest.mark.parametrize("per_page", [1, 7, 1000, 10_000])
def test_pages_do_not_show(world: World, per_page: int) -> None:
    with offline():
        logs = world.run("talks").console_logs(per_page=per_page)
        assert [line.number for line in logs[:20]] == list(range(20))
        assert logs[2344].content == "line 2344 é ☃"
        with pytest.raises(IndexError):
            _ = logs[2345]


def test_iterating_twice_gives_the_same_lines(world: World) -> None:
    with offline():
        logs = world.run("talks").console_logs(last=50)
        assert list(logs) == list(logs)
        assert [line.number for line in pickle.loads(pickle.dumps(logs))] == list(range(2295, 2345))


def test_a_line_and_the_log_look_as_with_the_sdk(world: World) -> None:
    world.same("talks", lambda run: (repr(run.console_logs()), repr(run.console_logs()[5])))


def test_times_are_utc_cut_to_microseconds_and_none_where_there_is_none(sandbox: Sandbox, mirror: Mirror) -> None:
    texts = ["2024-01-02T03:04:05.123456789Z", "2024-01-02T03:04:05", "2024-01-02T03:04:05.5+02:00", "yesterday", ""]
    console = [ConsoleLine(line=text, timestamp=text) for text in texts]
    sandbox.state.add_run(ENTITY, PROJECT, "r1", console=console)
    mirror.pull()
    with offline():
        lines = list(Api(mirror.home).run(f"{ENTITY}/{PROJECT}/r1").console_logs())
    assert [line.timestamp for line in lines] == [
        dt.datetime(2024, 1, 2, 3, 4, 5, 123456, dt.UTC),
        dt.datetime(2024, 1, 2, 3, 4, 5, 0, dt.UTC),
        dt.datetime(2024, 1, 2, 1, 4, 5, 500000, dt.UTC),
        None,
        None,
    ]


def test_lines_with_numbers_missing_between_them_are_each_read_once(world: World) -> None:
    run = world.run("talks")
    span = ConsoleSpan(count=2345, first=0, last=9999)  # as if it had gaps, so that places do not tell numbers
    assert span.has_gaps
    rows = read_console(run._local.reader, run._run_path, span, 10, 14)
    assert [row.number for row in rows] == [10, 11, 12, 13]


def test_a_console_that_the_source_leaves_out_is_not_mirrored_and_not_empty(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r1", console=[ConsoleLine(line="something")])
    mirror.policy = {"streams": False}
    mirror.pull()
    mirror.home.config.write_text(f'[[source]]\npath = "{ENTITY}/{PROJECT}"\nstreams = false\n')
    with offline(), pytest.raises(NotMirrored, match="streams = false"):
        list(Api(mirror.home).run(f"{ENTITY}/{PROJECT}/r1").console_logs())
