"""Adding a log: once, however often and from wherever it is added, and whatever becomes of its folder."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mirror.layout import Home
from mirror.offline.adding import Candidate, OfflineRuns
from mirror.offline.intake import SILENT
from mirror.offline.log.messages import Record
from mirror.offline.wanted import Wanted
from mirror.outbox import Outbox
from mirror.records.offline import OfflineLog
from mirror.store.engine.lake import Lake
from tests.cli.conftest import Cli
from tests.mirroring import ENGINE, make_lake
from tests.offline.added import held
from tests.offline.logs import (
    STARTED,
    exit_record,
    file_record,
    line_record,
    offline_log,
    row_record,
    run_record,
    run_records,
    stats_record,
    summary_record,
    write_log,
)

STEPS = 60


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.ahead = dt.timedelta()

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.ahead


class Adding:
    """A home that takes logs in, in this process.

    Args:
        home: whose.
    """

    def __init__(self, home: Home) -> None:
        self.home, self.clock = home, Clock()
        make_lake(home)

    @contextmanager
    def runs(self) -> Iterator[OfflineRuns]:
        """A process of its own, as far as logs know."""
        with Lake(self.home, deployment="nobody", settings=ENGINE) as lake:
            yield OfflineRuns(lake, Outbox(self.home), now=self.clock)

    def add(self, *paths: Path) -> list[OfflineLog]:
        """Everything below, in a process of its own."""
        with self.runs() as runs:
            return [runs.take(one) for one in self.found(runs, *paths) if one.row is not None]

    def found(self, runs: OfflineRuns, *paths: Path) -> list[Candidate]:
        """What is below."""
        return runs.candidates(Wanted(paths=tuple(map(str, paths)), home=str(self.home.root)))


@pytest.fixture
def adding(home: Home) -> Adding:
    """A home without runs."""
    return Adding(home)


def test_a_log_that_is_added_again_from_elsewhere_or_as_a_copy_is_the_same(adding: Adding, tmp_path: Path) -> None:
    log = write_log(offline_log(tmp_path, "r"), run_records("r", STEPS))
    (added,) = adding.add(tmp_path / "wandb")
    assert (added.rows, added.ended, added.exit_code) == (STEPS, True, 0)
    once = held(adding.home)
    copied = tmp_path / "elsewhere" / "copy" / "run-r.wandb"
    copied.parent.mkdir(parents=True)
    shutil.copy(log, copied)
    moved = tmp_path / "moved"
    log.parent.rename(moved)
    for path in (moved, copied.parent, copied, moved / "run-r.wandb"):
        adding.add(path)
        assert held(adding.home) == once
    (moved / "linked").symlink_to(copied.parent, target_is_directory=True)
    with adding.runs() as runs:
        assert len(adding.found(runs, moved, copied.parent)) == 2
    assert [kind for kind, _, _ in once["queued"]] == ["sync_run"]


def test_what_was_added_stays_when_its_folder_is_removed_or_its_log_shrinks(adding: Adding, tmp_path: Path) -> None:
    log = write_log(offline_log(tmp_path, "r"), run_records("r", STEPS, exit_code=None))
    adding.add(tmp_path)
    before = held(adding.home)
    with log.open("ab") as file:
        file.truncate(log.stat().st_size // 2)
    (same,) = adding.add(tmp_path)
    assert same.rows == STEPS
    assert held(adding.home) == before
    shutil.rmtree(log.parent)
    assert held(adding.home) == before
    copies = list((adding.home.root / "offline").iterdir())
    assert [copy.suffix for copy in copies] == [".wandb"]


def test_a_log_that_grows_is_the_same_in_the_end_as_one_that_was_added_at_once(adding: Adding, tmp_path: Path) -> None:
    whole = write_log(tmp_path / "whole" / "run-r.wandb", run_records("r", STEPS))
    once = Adding(Home(tmp_path / "once"))
    once.add(whole)
    content = whole.read_bytes()
    log = offline_log(tmp_path / "grows", "r")
    log.parent.mkdir(parents=True)
    lengths = [7, 100, *range(1000, len(content), 1100), len(content)]
    with adding.runs() as runs:
        for length in lengths[: len(lengths) // 2]:
            log.write_bytes(content[:length])
            for candidate in adding.found(runs, log):
                if candidate.row is not None:
                    row = runs.take(candidate)
                    assert not row.ended
    for length in lengths[len(lengths) // 2 :]:  # each time another process
        log.write_bytes(content[:length])
        adding.add(log)
    ours, theirs = held(adding.home, "history"), held(once.home, "history")
    assert ours == theirs


def test_a_run_that_goes_on_in_other_folders_is_one(adding: Adding, tmp_path: Path) -> None:
    parts = 3
    for part in range(parts):
        log = tmp_path / f"offline-run-2026010{part + 1}_000000-r" / "run-r.wandb"
        at = STARTED + 3600 * part
        records = [
            run_record("r", config={f"part{part}": part}, started=at),
            *(row_record(step, {"x": 10 * part + step}, started=at) for step in range(4)),
            line_record(f"part {part}\n"),
            stats_record(part),
            summary_record({"x": 10 * part + 3, f"only{part}": 1, "_step": 3}),
            exit_record(),
        ]
        write_log(log, records)
    adding.add(tmp_path)
    found = held(adding.home)
    (run,) = found["runs"]
    assert run["history_line_count"] == 4 * parts
    rows = {(row["step"], row["value"]) for row in found["metrics"] if row["key"] == "x"}
    assert rows == {(4 * part + step, 10.0 * part + step) for part in range(parts) for step in range(4)}
    assert [row["line"] for row in found["console"]] == [f"part {part}" for part in range(parts)]
    assert [row["value"] for row in found["system_metrics"] if row["key"] == "system.cpu"] == [0.0, 0.5, 1.0]
    assert {log["first_step"] for log in found["logs"]} == {0, 4, 8}
    assert len(found["queued"]) == parts
    adding.add(tmp_path)
    assert held(adding.home) == found


def test_a_log_without_an_end_counts_as_broken_off_once_nobody_has_written_it_for_long(
    adding: Adding, tmp_path: Path
) -> None:
    log = write_log(offline_log(tmp_path, "r"), run_records("r", 3, exit_code=None))
    (row,) = adding.add(tmp_path)
    assert not row.ended
    adding.clock.ahead = SILENT * 2
    (row,) = adding.add(tmp_path)
    assert (row.ended, row.exit_code) == (True, None)
    adding.clock.ahead = dt.timedelta()
    write_log(log, [row_record(3, {"x": 3}), exit_record()])  # it only slept
    os.utime(log)
    (row,) = adding.add(tmp_path)
    assert (row.rows, row.ended, row.exit_code, row.damaged) == (4, True, 0, 0)


def test_a_record_that_was_half_written_while_its_writer_slept_is_read_when_it_is_whole(
    adding: Adding, tmp_path: Path
) -> None:
    whole = write_log(tmp_path / "whole.wandb", run_records("r", 30)).read_bytes()
    log = offline_log(tmp_path, "r")
    log.parent.mkdir(parents=True)
    log.write_bytes(whole[: len(whole) // 2 + 3])
    with adding.runs() as runs:
        adding.clock.ahead = SILENT * 2
        (candidate,) = adding.found(runs, log)
        assert runs.take(candidate).ended
        adding.clock.ahead = dt.timedelta()
        log.write_bytes(whole)
        (candidate,) = adding.found(runs, log)
        row = runs.take(candidate)
    assert (row.rows, row.damaged, row.exit_code) == (30, 0, 0)


def test_another_log_that_takes_the_place_of_one_is_another_run_and_leaves_the_first(
    adding: Adding, tmp_path: Path
) -> None:
    log = write_log(offline_log(tmp_path, "r"), run_records("r", STEPS, exit_code=None))
    first = log.read_bytes()
    with adding.runs() as runs:
        (candidate,) = adding.found(runs, log)
        runs.take(candidate)
        log.unlink()
        write_log(log, run_records("s", 10 * STEPS, exit_code=None))
        assert runs.take(candidate).rows == STEPS
    (copy,) = (adding.home.root / "offline").iterdir()
    assert copy.read_bytes() == first
    (other,) = adding.add(log)
    assert (other.run_id, other.rows) == ("s", 10 * STEPS)
    assert {row["run_id"]: row["history_line_count"] for row in held(adding.home)["runs"]} == {
        "r": STEPS, "s": 10 * STEPS,
    }  # fmt: skip


def test_files_are_taken_as_their_policies_say(adding: Adding, tmp_path: Path) -> None:
    log = offline_log(tmp_path, "r")
    files = log.parent / "files"
    files.mkdir(parents=True)
    names = {"now.txt": 0, "end.txt": 1, "live.txt": 2}
    write_log(log, [run_record("r"), *(file_record(name, policy) for name, policy in names.items())])
    write_log(log, [file_record("*.ckpt", 2), file_record("../outside", 0), file_record("/etc/passwd", 0)])
    (tmp_path / "wandb" / "outside").write_text("secret")
    write_log(log, [file_record("pipe", 0)])
    os.mkfifo(files / "pipe")  # whose end may never come
    for name in (*names, "a.ckpt"):
        (files / name).write_text("1")

    def taken() -> dict[str, int]:
        return {row["name"]: row["size"] for row in held(adding.home)["files"] if row["status"] == "held"}

    adding.add(log)
    assert taken() == {"now.txt": 1, "live.txt": 1, "a.ckpt": 1}
    (files / "live.txt").write_text("22")
    (files / "b.ckpt").write_text("22")
    write_log(log, [row_record(0, {"x": 1})])
    adding.add(log)
    assert taken() == {"now.txt": 1, "live.txt": 2, "a.ckpt": 1, "b.ckpt": 2}
    write_log(log, [exit_record()])
    adding.add(log)
    assert {"end.txt", "config.yaml", "wandb-summary.json"} < set(taken())
    assert "outside" not in str(taken())


def test_online_and_synced_runs_are_left_out_unless_they_are_asked_for(cli: Cli, tmp_path: Path) -> None:
    offline = write_log(offline_log(tmp_path / "t", "off"), run_records("off", 1))
    write_log(tmp_path / "t" / "run-20260101_000000-on" / "run-on.wandb", run_records("on", 1))
    synced = write_log(offline_log(tmp_path / "t", "done"), run_records("done", 1))
    synced.with_name(synced.name + ".synced").touch()
    nobody = write_log(offline_log(tmp_path / "t", "nobody"), run_records("nobody", 1, entity=""))
    begun = offline_log(tmp_path / "t", "begun")
    begun.parent.mkdir(parents=True)
    begun.write_bytes(offline.read_bytes()[:20])
    (tmp_path / "t" / "no.wandb").write_bytes(b"something else")  # beside them
    cli.configure("team/proj", "other/proj")
    said = cli("add", str(tmp_path / "t"), "--dry-run", "--json", code=0).json
    assert [run["path"] for run in said["runs"]] == ["team/proj/off"]
    assert not (cli.home / "lake").exists()
    reasons = {Path(one["source"]).name: one["reason"] for one in said["left_out"]}
    assert set(reasons) == {"run-on.wandb", "run-done.wandb", "run-nobody.wandb", "run-begun.wandb", "no.wandb"}
    assert "--entity" in reasons[nobody.name]
    taken = cli("add", str(tmp_path / "t"), "--online", "--synced", "--entity", "me", "--json", code=0).json["runs"]
    assert {run["path"] for run in taken} == {f"me/proj/{name}" for name in ("off", "on", "done", "nobody")}
    cli.fails(3, "add", str(tmp_path / "missing"))
    (tmp_path / "empty").mkdir()
    cli.fails(5, "add", str(tmp_path / "empty"))


def test_files_that_are_not_there_are_named_where_the_run_is_added(cli: Cli, tmp_path: Path) -> None:
    log = offline_log(tmp_path / "t", "r")
    names = ["kept.txt", "media/lost.png", "lost[[]1].txt", *(f"lost-{number}.txt" for number in range(5))]
    write_log(log, [run_record("r"), *(file_record(name, 0) for name in names), exit_record()])
    (log.parent / "files").mkdir()
    (log.parent / "files" / "kept.txt").write_text("1")
    whole = write_log(offline_log(tmp_path / "t", "whole"), run_records("whole", 1))
    cli.configure("team/proj")
    said = cli("add", str(log), str(whole), code=0)
    (line,) = [line for line in said.err.splitlines() if "not there" in line]
    assert line.startswith("not there: 7 files of team/proj/r: lost-0.txt, ")
    assert line.endswith(" and 2 more")
    told = {run["path"]: run["lost"] for run in cli("add", str(log), str(whole), "--json", code=0).json["runs"]}
    assert (len(told["team/proj/r"]), told["team/proj/whole"]) == (7, [])
    assert {"media/lost.png", "lost[1].txt"} < set(told["team/proj/r"])
    assert "failed: media/lost.png: " in cli("status", "team/proj/r", code=0).out


def test_a_home_of_offline_runs_alone_tells_of_them(cli: Cli, tmp_path: Path) -> None:
    write_log(offline_log(tmp_path / "t", "r"), run_records("r", 1))
    cli.configure("other/*")
    assert "nothing pulled yet" in cli("status", code=0).out
    cli("add", str(tmp_path / "t"), code=0)
    said = cli("status", code=0).out
    assert "nothing pulled yet" not in said
    assert [line.split()[:2] for line in said.splitlines() if line.startswith("team/proj")] == [["team/proj", "1"]]
    (project,) = cli("status", "--json", code=0).json["projects"]
    assert (project["project"], project["runs"], project["last_pass_at"]) == ("proj", 1, None)


def test_a_run_is_added_under_other_names_and_its_log_stays_as_it_is(cli: Cli, tmp_path: Path) -> None:
    record = Record.FromString(run_record("r"))
    record.run.tags.extend(["a", "b", "c"])
    record.run.job_type = "train"
    log = write_log(offline_log(tmp_path / "t", "r"), [record.SerializeToString(), row_record(0, {"x": 1})])
    before = log.read_bytes()
    cli.configure("team/proj")
    tags = "a=first, b=,gone=x"
    names = ["--id", "other", "--entity", "me", "--project", "p", "--job-type", "eval", "--replace-tags", tags]
    (added,) = cli("add", str(log), *names, "--json", code=0).json["runs"]
    assert (added["path"], log.read_bytes()) == ("me/p/other", before)
    write_log(log, [exit_record()])
    (again,) = cli("add", str(tmp_path / "t"), "--json", code=0).json["runs"]
    assert (again["path"], again["new"], again["ended"]) == ("me/p/other", False, True)
    (run,) = cli("sql", "SELECT run_id, job_type, tags FROM runs", "--json", code=0).json
    assert run == {"run_id": "other", "job_type": "eval", "tags": ["first", "c"]}
    write_log(offline_log(tmp_path / "u", "s"), run_records("s", 1))
    write_log(offline_log(tmp_path / "u", "t"), run_records("t", 1))
    assert "there are 2" in cli.fails(3, "add", str(tmp_path / "u"), "--id", "one").error
    assert "is not OLD=NEW" in cli("add", str(tmp_path / "u"), "--replace-tags", "a", code=2).err
    assert "cannot contain" in cli("add", str(tmp_path / "u"), "--id", "a/b", code=2).err
