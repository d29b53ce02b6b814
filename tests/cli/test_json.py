"""docs/json.md is a contract: what it lists is exactly what is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mirror.daemon.status.health import Finding
from mirror.sandbox import Sandbox
from mirror.store.engine.writer_lock import Holder
from tests.cli.conftest import Cli, broken

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "json.md"
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "time": (str,),
    "null": (type(None),),
}


def documented() -> dict[str, dict[str, str]]:
    """Heading → key → type, from the tables of the document."""
    tables: dict[str, dict[str, str]] = {}
    heading = ""
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.strip("# ").replace("`", "")
        elif row := re.match(r"\| `(\w+)` \| ([^|]+) \|", line):
            tables.setdefault(heading, {})[row[1]] = row[2].strip().removesuffix(" of texts")
    return tables


TABLES = documented()


def agrees(value: Any, heading: str) -> None:
    """The object has exactly the documented keys, and each value a documented type."""
    table = TABLES[heading]
    assert list(value) == list(table), heading
    for key, kinds in table.items():
        allowed = tuple(kind for name in kinds.split(" or ") for kind in TYPES[name.removesuffix(" of texts")])
        assert isinstance(value[key], allowed), f"{heading}: {key} is {value[key]!r}, documented as {kinds}"
        assert not isinstance(value[key], bool) or bool in allowed, key


@pytest.fixture(scope="module")
def troubled(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A mirror whose last pull left a run behind and could not read one project."""
    cli = Cli(folder=tmp_path_factory.mktemp("json")).at(server).configure("team/proj", "team/nope")
    server.faults.add(broken("r2"))
    said = cli("pull", "--json", code=9).json
    server.faults.clear()
    agrees(said, "wandb-mirror pull --json")
    for project in said["projects"]:
        agrees(project, "projects[] of pull")
    (failed,) = [failed for project in said["projects"] for failed in project["failed"]]
    agrees(failed, "failed[] of pull")
    (error,) = [project["error"] for project in said["projects"] if project["error"]]
    agrees(error, "error of pull")
    return cli


def test_pull_and_status_print_what_is_documented(troubled: Cli) -> None:
    said = troubled("status", "--json", code=9).json
    agrees(said, "wandb-mirror status --json")
    for project in said["projects"]:
        agrees(project, "projects[] of status")
    agrees(said["disk"], "disk of status")
    assert [lag["path"] for lag in said["lags"]] == ["team/proj", "team/nope"]
    for lag in said["lags"]:
        agrees(lag, "lags[] of status")
    assert list(TABLES["findings[] of status"]) == list(Finding.__struct_fields__)
    (failure,) = said["failures"]
    agrees(failure, "failures[] of status")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", failure["first_at"])
    assert list(TABLES["writer of status"]) == list(Holder.__struct_fields__)


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A mirror of a run that has everything, with a file that cannot be fetched and one that is not wanted."""
    with Sandbox.start() as sandbox:
        sandbox.state.add_run(
            "team", "proj", "full", state="running", history=[{"_step": 0, "loss": 1.0}, {"_step": 1, "rare": 2}],
            files={"kept": b"1", "../evil": b"2", "left.tmp": b"3"}, console=["hello"],
            events=[{"_timestamp": 1.7e9, "_runtime": 1.0, "system.cpu": 1.0}],
        )  # fmt: skip
        sandbox.state.add_artifact("team", "proj", "model", files={"w": b"5"}, run="full")
        cli = Cli(folder=tmp_path_factory.mktemp("contents")).at(sandbox).configure("team/proj")
        cli.config.write_text(cli.config.read_text() + 'files_exclude = ["*.tmp"]\n')
        sandbox.state.add_file("team", "proj", "full", "broken", b"4", md5="AAAAAAAAAAAAAAAAAAAAAA==")
        planned = cli("pull", "--dry-run", "--json", code=0).json
        agrees(planned, "wandb-mirror pull --json")
        agrees(planned["projects"][0], "projects[] of pull")
        said = cli("pull", "--json", code=9).json
        agrees(said["projects"][0]["failed"][0], "failed[] of pull")
    return cli


def test_status_of_a_run_prints_what_is_documented(contents: Cli) -> None:
    said = contents("status", "full", "--json", code=9).json
    agrees(said, "wandb-mirror status RUN --json")
    agrees(said["history"], "history of a run")
    agrees(said["files"], "files of a run")
    for file in said["files"]["not_held"]:
        agrees(file, "not_held[] of a run")
    assert {file["name"]: file["status"] for file in said["files"]["not_held"]} == {
        "broken": "failed",
        "left.tmp": "left_out",
    }
    (artifact,) = said["artifacts"]
    agrees(artifact, "artifacts[] of a run")
    (failure,) = said["failures"]
    agrees(failure, "failures[] of a run")
    assert (said["system_metric_rows"], said["console_lines"], said["history"]["complete"]) == (1, 1, False)


def test_history_prints_the_same_keys_in_every_object(contents: Cli) -> None:
    assert contents("history", "full", "--keys", "loss,rare", "--json", code=0).json == [
        {"_step": 0, "loss": 1.0, "rare": None},
        {"_step": 1, "loss": None, "rare": 2},
    ]


def test_checkout_prints_what_is_documented(contents: Cli, tmp_path: Path) -> None:
    said = contents("checkout", "full", str(tmp_path), "--json", code=9).json
    agrees(said, "wandb-mirror checkout RUN --json")
    for file in said["files"]:
        agrees(file, "files[] of checkout")
    for file in said["not_mirrored"]:
        agrees(file, "not_mirrored[] of checkout")
    assert {file["name"]: (file["outcome"], file["path"]) for file in said["files"]} == {
        "../evil": ("written", "odd-names/%2E.%2Fevil"), "kept": ("written", "kept"),
    }  # fmt: skip
    assert {file["name"] for file in said["not_mirrored"]} == {"broken", "left.tmp"}


def test_runs_and_show_print_what_is_documented(troubled: Cli) -> None:
    rows = troubled("runs", "--json", code=0).json
    assert len(rows) == 2
    for row in rows:
        agrees(row, "wandb-mirror runs --json")
    agrees(troubled("show", "team/proj/r1", "--json", code=0).json, "wandb-mirror show RUN --json")


def test_doctor_prints_what_is_documented(troubled: Cli) -> None:
    checks = troubled("doctor", "--json", code=5).json
    for check in checks:
        agrees(check, "wandb-mirror doctor --json")
        assert f"`{check['name']}`" in DOCUMENT.read_text(encoding="utf-8")


def test_every_command_with_json_is_documented(cli: Cli) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    commands = "pull status runs show history compare checkout sql doctor edit upload replay"
    for name in commands.split():
        assert f"## `wandb-mirror {name}" in text
        assert "docs/json.md" in cli(name, "--help", code=0).out
