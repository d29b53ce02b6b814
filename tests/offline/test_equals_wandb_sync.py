"""What the mirror reads of logs equals what `wandb sync` brings to a server and a pull brings back, field by field."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli
from tests.offline.conftest import Trained, mirror_of, sdk_environment

# What the server alone says of a run, or when it was uploaded.
OF_THE_SERVER = (
    "storage_id", "user", "user_name", "read_only", "created_at", "heartbeat_at", "updated_at", "synced_at", "origin",
    "display_name",
)  # fmt: skip
RUNS = f"SELECT * EXCLUDE ({', '.join(OF_THE_SERVER)}, config, summary, history_keys) FROM runs ORDER BY run_id"
DOCUMENTS = "SELECT run_id, config, summary, history_keys FROM runs ORDER BY run_id"
MADE = ("config.yaml", "wandb-summary.json", "wandb-metadata.json")  # by whoever delivers, each spells them anew


@pytest.fixture(scope="module")
def synced(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A mirror of a server to which the SDK's own `wandb sync` brought a copy of the same folders."""
    folder = tmp_path_factory.mktemp("synced")
    shutil.copytree(trained.folder / "wandb", folder / "wandb", symlinks=True)
    with Sandbox.start(page_limit=1000) as sandbox:
        env = sdk_environment(folder, WANDB_BASE_URL=sandbox.url, WANDB_API_KEY=sandbox.api_key, WANDB_MODE="online")
        *runs, last = map(str, sorted(folder.glob("wandb/offline-run-*")))  # the last one goes on with one before
        for some in (runs, [last]):
            command = [sys.executable, "-m", "wandb", "sync", *some]
            subprocess.run(command, env=env, cwd=folder, capture_output=True, timeout=60, check=True)
        sandbox.state.run("team", "proj", "killed").display_name = None
        cli = Cli(folder=tmp_path_factory.mktemp("of-synced")).at(sandbox).configure("team/proj")
        cli("pull", code=0)
        yield cli


def ask(cli: Cli, query: str) -> Any:
    """Rows of SQL."""
    return mirror_of(cli).ask(query)


@pytest.mark.parametrize(
    "query",
    [
        RUNS,
        "FROM metrics ORDER BY run_id, key, step",
        "SELECT * EXCLUDE (timestamp) FROM console_lines ORDER BY run_id, number",
        "SELECT run_id, name, status FROM files ORDER BY ALL",
        f"SELECT run_id, name, size, md5 FROM files WHERE name NOT IN {MADE} ORDER BY ALL",
        (
            "SELECT sequence, type, version_index, digest, aliases, metadata, description, size, file_count"
            " FROM artifacts ORDER BY ALL"
        ),
        "SELECT path, digest, size, ref, extra FROM artifact_files ORDER BY ALL",
        "SELECT run_id, direction, count(*) AS n FROM run_artifacts GROUP BY ALL ORDER BY ALL",
        "SELECT run_id, key, value, timestamp FROM system_metrics ORDER BY ALL",
    ],
    ids=["runs", "metrics", "console", "file-names", "files", "artifacts", "artifact-files", "links", "system-metrics"],
)
def test_tables_are_equal(trained: Trained, synced: Cli, query: str) -> None:
    ours, theirs = ask(trained.cli, query), ask(synced, query)
    assert ours
    assert [_plain(row) for row in ours] == [_plain(row) for row in theirs]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose texts of JSON are parsed: the SDK spells `1.0` as `1` when it sends it."""
    text = row.get("text")
    if isinstance(text, str):
        row = row | {"text": json.loads(text)}
    if isinstance(row.get("timestamp"), str):  # microseconds, rounded here and cut there
        row = row | {"timestamp": row["timestamp"][:-1]}
    return row


def test_documents_are_equal(trained: Trained, synced: Cli) -> None:
    for ours, theirs in zip(ask(trained.cli, DOCUMENTS), ask(synced, DOCUMENTS), strict=True):
        assert ours["run_id"] == theirs["run_id"]
        assert ours["config"] == theirs["config"]
        assert ours["summary"] == theirs["summary"]
        assert _counted(ours["history_keys"]) == _counted(theirs["history_keys"]), ours["run_id"]


def _counted(document: Any) -> Any:
    """`historyKeys` without what is in lists and objects, which the server alone describes."""
    return {
        "lastStep": document["lastStep"],
        "keys": {
            key: (
                [(one["type"], one["count"]) for one in facts["typeCounts"]],
                facts["previousValue"],
                facts.get("monotonic"),
            )
            for key, facts in document["keys"].items()
        },
    }


def test_the_files_that_the_sdk_makes_when_it_syncs_say_the_same(trained: Trained, synced: Cli, tmp_path: Path) -> None:
    for run_id in ("first", "killed"):
        said = []
        for name, cli in (("ours", trained.cli), ("theirs", synced)):
            folder = tmp_path / run_id / name
            cli("checkout", f"team/proj/{run_id}", str(folder), code=0)
            config = yaml.safe_load((folder / MADE[0]).read_text())
            told = config["_wandb"]["value"]
            (told["e"],) = told["e"].values()  # each that writes a config has an id of its own …
            told["t"] = {key: kinds for key, kinds in told["t"].items() if key not in ("3", "12")}  # … and features
            told["m"] = _metrics(told["m"])
            said.append((config, *(json.loads((folder / made).read_text()) for made in MADE[1:])))
        assert json.dumps(said[0], sort_keys=True) == json.dumps(said[1], sort_keys=True)


def _metrics(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Definitions of metrics by name: the SDK lists them in any order, and names a step by its place."""
    named = [one | {"5": listed[one["5"] - 1]["1"]} if "5" in one else one for one in listed]
    return sorted(named, key=lambda one: one["1"])
