"""Files: chosen by policy, held once, safe whatever their names; and a mirror that has everything asks for nothing."""

from __future__ import annotations

from typing import Any

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, Mirror
from tests.pull.contents import assert_equal, fill, mirror_of


def held_files(mirror: Mirror) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in mirror.ask("SELECT * FROM lake.files")}


def test_globs_and_a_size_limit_choose_and_a_changed_policy_is_made_good(
    server: Sandbox, home: Home, project: str
) -> None:
    files = {"a.txt": b"a", "deep/b.txt": b"b", "c.log": b"c", "large.txt": b"x" * 2_000_001}
    server.state.add_run(ENTITY, project, "r", files=files)
    strict: dict[str, Any] = {"files_include": ("*.txt",), "files_exclude": ("deep/*",), "file_size_max_mb": 2.0}
    mirror = mirror_of(server, home, project, **strict)
    assert mirror.pull().failures == 0
    rows = held_files(mirror)
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.txt": "held",
        "deep/b.txt": "left_out",
        "c.log": "left_out",
        "large.txt": "left_out",
    }
    assert rows["c.log"]["reason"] == "no files_include glob matches its name"
    assert rows["deep/b.txt"]["reason"] == "files_exclude has 'deep/*'"
    assert rows["large.txt"]["reason"] == "larger than file_size_max_mb = 2"
    assert server.requests.count(kind="storage") == 1
    everything = mirror_of(server, home, project)
    assert everything.pull(force_walk=True).transfers == 3
    assert {row["status"] for row in held_files(mirror).values()} == {"held"}
    assert_equal(server, everything, project)
    mirror.pull(force_walk=True)
    assert {row["status"] for row in held_files(mirror).values()} == {"held"}, "what is held is not given up"


def test_artifact_bytes_come_when_a_policy_asks_for_them_and_no_digest_twice(
    server: Sandbox, home: Home, project: str
) -> None:
    fill(server, project, runs=1)
    first = mirror_of(server, home, project, artifacts_include=())
    first.pull()
    statuses = first.ask("SELECT DISTINCT status, reason FROM lake.artifact_files")
    assert [row["status"] for row in statuses] == ["left_out"]
    assert "artifacts_include" in statuses[0]["reason"]
    mirror = mirror_of(server, home, project)
    mirror.pull()
    assert_equal(server, mirror, project)
    assert mirror.pull().projects[0].kind == "look"
    server.requests.clear()
    files = {"a.txt": b"twin", "renamed.bin": bytes([0]) * 2000, "new.bin": b"new"}
    server.state.add_artifact(ENTITY, project, "set0", files=files, run="r000")
    mirror.pull(force_walk=True)
    assert_equal(server, mirror, project)
    assert server.requests.count(kind="storage", path="artifacts/") == 1


def test_what_a_policy_wants_of_runs_that_were_pulled_before_comes_with_the_next_pull(
    server: Sandbox, home: Home, project: str
) -> None:
    fill(server, project, runs=2)
    narrow: dict[str, Any] = {"files_include": (), "history": False, "streams": False, "artifacts_include": ()}
    mirror_of(server, home, project, **narrow).pull()
    mirror = mirror_of(server, home, project)
    mirror.pull()
    assert_equal(server, mirror, project)


def test_equal_bytes_are_held_once(server: Sandbox, home: Home, project: str) -> None:
    for number in range(5):
        server.state.add_run(ENTITY, project, f"r{number}", files={"one": b"same", "two": b"same"})
    mirror = mirror_of(server, home, project)
    mirror.pull()
    assert_equal(server, mirror, project)
    assert len(list(mirror.home.objects.glob("*/*"))) == 1


def test_a_changed_file_is_fetched_again_and_one_that_is_gone_keeps_its_bytes(
    server: Sandbox, home: Home, project: str
) -> None:
    server.state.add_run(ENTITY, project, "r", files={"changes": b"old", "goes": b"kept", "stays": b"still"})
    mirror = mirror_of(server, home, project)
    mirror.pull()
    before = held_files(mirror)
    server.clock.advance(5)
    server.state.add_file(ENTITY, project, "r", "changes", b"new bytes")
    server.state.remove_file(server.state.run(ENTITY, project, "r").files["goes"].id)
    assert mirror.pull(force_walk=True).transfers == 1
    after = held_files(mirror)
    assert (after["goes"]["status"], after["goes"]["object"]) == ("gone", before["goes"]["object"])
    assert (mirror.home.objects / after["goes"]["object"][:2] / after["goes"]["object"]).read_bytes() == b"kept"
    assert after["changes"]["object"] != before["changes"]["object"]
    assert_equal(server, mirror, project)
    server.state.add_file(ENTITY, project, "r", "goes", b"kept")
    mirror.pull(force_walk=True)
    assert_equal(server, mirror, project)


NAMES = [
    "../../outside.txt", "..", ".", "/etc/absolute", "C:\\windows\\x", "back\\slash", "n" * 300, "Case.txt", "case.TXT",
    "dir/../dir/x", "a//b", "trailing/", "tab\there", "line\nbreak", "ünï☃", "con", "%2e%2e/y", " spaces ",
    "nul\0nul", "?*<>|",
]  # fmt: skip


def test_a_hundred_and_twenty_files_with_names_from_hell_are_held_and_no_name_becomes_a_path(
    server: Sandbox, home: Home, project: str
) -> None:
    plain = [f"f{number:03}" for number in range(120 - len(NAMES))]
    files = {name: f"bytes of {number}".encode() for number, name in enumerate([*NAMES, *plain])}
    server.state.add_run(ENTITY, project, "r", files=files)
    mirror = mirror_of(server, home, project)
    report = mirror.pull()
    assert (report.errors, report.failures, report.projects[0].files) == ([], 0, 120)
    assert_equal(server, mirror, project)
    assert mirror.pull(force_walk=True).transfers == 0
    assert_equal(server, mirror, project)
    names = {path.name for path in home.root.parent.rglob("*")}
    assert not any(path.name == "outside.txt" for path in home.root.parent.parent.rglob("outside.txt"))
    assert not names & {name.rpartition("/")[2] for name in files if len(name) > 3 and name != "con"}


def test_a_mirror_that_has_everything_asks_little_and_moves_nothing(  # also of runs that are running
    server: Sandbox, home: Home, project: str
) -> None:
    fill(server, project, runs=6)
    mirror = mirror_of(server, home, project)
    assert mirror.pull().failures == 0
    assert_equal(server, mirror, project)
    tables = "SELECT data_file FROM ducklake_list_files('lake', ?)"
    names = ("runs", "files", "metrics", "tails", "console_lines", "system_metrics", "artifacts", "artifact_files",
             "run_artifacts", "exports", "completeness")  # fmt: skip
    before = {name: mirror.ask(tables.replace("?", f"'{name}'")) for name in names}
    for force_walk in (False, False, True):
        report = mirror.pull(force_walk=force_walk)
        assert report.requests <= 3, "two of the six runs are running, and nothing of them moved"
        assert (report.transfers, report.errors, report.failures) == (0, [], 0)
        assert [project.written for project in report.projects] == [0]
    assert {name: mirror.ask(tables.replace("?", f"'{name}'")) for name in names} == before
    assert_equal(server, mirror, project)


def test_many_runs_with_equal_exports_are_all_held_though_they_share_one_object(
    server: Sandbox, home: Home, project: str
) -> None:
    history = [{"_step": step, "loss": 0.5} for step in range(2000)]
    for number in range(160):  # several batches, one of which commits while the next one reads the same bytes
        server.state.add_run(ENTITY, project, f"r{number:03}", history=history)
    mirror = mirror_of(server, home, project)
    report = mirror.pull()
    assert [failure for one in report.projects for failure in one.failed] == []
    (row,) = mirror.ask("SELECT count(*) AS runs, count(DISTINCT object) AS objects, bool_and(complete) AS whole"
                        " FROM lake.exports")  # fmt: skip
    assert row == {"runs": 160, "objects": 1, "whole": True}
