"""docs/json.md is a contract: what it lists is exactly what is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mirror.sandbox import Sandbox
from mirror.store.writer_lock import Holder
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
    said = troubled("status", "--json", code=0).json
    agrees(said, "wandb-mirror status --json")
    for project in said["projects"]:
        agrees(project, "projects[] of status")
    (failure,) = said["failures"]
    agrees(failure, "failures[] of status")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", failure["first_at"])
    assert list(TABLES["writer of status"]) == list(Holder.__struct_fields__)


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
    for name in ("pull", "status", "runs", "show", "sql", "doctor"):
        assert f"## `wandb-mirror {name}" in text
        assert "docs/json.md" in cli(name, "--help", code=0).out
