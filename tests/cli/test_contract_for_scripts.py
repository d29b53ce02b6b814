"""The contract for scripts (issue 2, item 7), word for word: whoever wrote a script against it may rely on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mirror.cli.run_paths import parse_run_path
from mirror.config import SourceSettings
from mirror.records.addresses import RunPath
from mirror.sandbox import Sandbox
from tests.cli.conftest import IMPATIENT, Cli

RUNS_COLUMNS = [
    "entity", "project", "run_id", "storage_id", "display_name", "state", "tags", "group", "job_type", "sweep",
    "notes", "created_at", "heartbeat_at", "config", "summary", "system_metrics", "gone_at", "synced_at",
]  # fmt: skip


def test_three_variables_are_enough_to_work_without_questions(cli: Cli, server: Sandbox) -> None:
    script = cli.at(server)
    said = script("init", "--source", "team/proj", "--source", "team/oth*", code=0)
    assert said.out.splitlines() == [f"wrote {cli.config} (2 sources)", "next: wandb-mirror pull"]
    script("pull", code=0)
    offline = script.using(WANDB_API_KEY=None)
    rows = offline("sql", "SELECT project, run_id FROM runs ORDER BY ALL", "--json", code=0).json
    assert rows == [
        {"project": "other", "run_id": "o1"},
        {"project": "proj", "run_id": "r1"},
        {"project": "proj", "run_id": "r2"},
        {"project": "proj", "run_id": "r3"},
    ]
    assert offline("status", "--json", code=0).json["sources"] == ["team/proj", "team/oth*"]


def test_sql_json_is_an_array_of_objects_with_exact_values(filled: Cli) -> None:
    query = "SELECT run_id, config, summary, tags, 9007199254740993 AS odd, 1e0/0 AS inf FROM runs WHERE run_id <> 'r3' AND project = 'proj' ORDER BY 1"  # noqa: E501
    assert filled("sql", query, "--json", code=0).json == [
        {
            "run_id": "r1",
            "config": {"lr": 0.1, "seed": 2**60 + 1, "net.depth/x": {"layers": [1, 2]}},
            "summary": {"loss": 0.123456789012345, "big": 2**63 + 5},
            "tags": ["base", "good"],
            "odd": 9007199254740993,
            "inf": "Infinity",
        },
        {
            "run_id": "r2",
            "config": {"lr": 0.2},
            "summary": {"loss": "NaN", "best": "-Infinity", "worst": "Infinity"},
            "tags": ["base"],
            "odd": 9007199254740993,
            "inf": "Infinity",
        },
    ]


def test_the_view_runs_has_the_promised_columns(filled: Cli) -> None:
    described = filled("sql", "SELECT column_name FROM (DESCRIBE runs)", "--json", code=0).json
    assert set(RUNS_COLUMNS) <= {row["column_name"] for row in described}


def test_home_is_taken_before_and_behind_the_command(cli: Cli, filled: Cli) -> None:
    elsewhere = cli.using(WANDB_MIRROR_HOME=None)
    before = elsewhere("--home", str(filled.home), "status", "--json", code=0)
    assert before.json["home"] == str(filled.home)
    both = elsewhere("--home", str(cli.folder / "no"), "status", "--home", str(filled.home), "--json", code=0)
    assert both.json["home"] == str(filled.home), "the option behind the command wins"


@pytest.mark.parametrize(
    "form",
    [
        "r1", "team/proj/r1", "team/proj/runs/r1", "team/proj:r1", " /team/proj/r1/ ",
        "https://wandb.ai/team/proj/runs/r1?nw=abc", "http://localhost:8080/team/proj/runs/r1/overview#top",
        "https://forge.coreweave.com/wandb/team/proj/runs/r1/logs", "https://wandb.ai/te%61m/proj/runs/r1",
    ],
)  # fmt: skip
def test_a_run_is_named_in_any_form_that_people_have_at_hand(form: str) -> None:
    sources = [SourceSettings(path="team/proj")]
    assert parse_run_path(form, sources) == RunPath("team", "proj", "r1")


def test_named_runs_alone_are_pulled(cli: Cli, server: Sandbox) -> None:
    script = cli.at(server).configure("team/proj")
    script("pull", "r1", f"{server.url}/team/other/runs/o1", code=0)
    rows = script("sql", "SELECT run_id FROM runs ORDER BY 1", "--json", code=0).json
    assert [row["run_id"] for row in rows] == ["o1", "r1"]


@pytest.mark.parametrize("place", ["netrc", "config file", "credential"])
def test_the_key_is_found_without_the_variable(cli: Cli, server: Sandbox, place: str) -> None:
    env = {"WANDB_BASE_URL": server.url}
    host = server.url.partition("//")[2].partition(":")[0]
    if place == "netrc":
        (cli.folder / ".netrc").write_text(f"machine {host}\n  login user\n  password {server.api_key}\n")
        (cli.folder / ".netrc").chmod(0o600)
    elif place == "config file":
        cli.home.mkdir()
        cli.config.write_text(f'{IMPATIENT}base_url = "{server.url}"\napi_key = "{server.api_key}"\n')
    else:
        folder = cli.folder / "credentials"
        folder.mkdir()
        (folder / "wandb-api-key").write_text(server.api_key + "\n")
        env["CREDENTIALS_DIRECTORY"] = str(folder)
    done = Cli(folder=cli.folder, env=env)("init", "--source", "team/proj", code=0)
    assert "the key belongs to sandy" in done.err


def test_the_key_is_printed_and_written_nowhere(cli: Cli, server: Sandbox) -> None:
    script = cli.at(server).configure("team/proj")
    talkative = script.using(WANDB_MIRROR_DEBUG="1")
    said = [talkative("pull"), talkative("doctor"), talkative("status", "--json")]
    with server.outage():
        said.append(talkative("pull"))
    said.append(talkative("pull", "team/proj/nope"))
    assert "Traceback" in said[-1].err, "the debug variable shows more"
    assert [outcome.code for outcome in said] == [0, 0, 0, 6, 5]
    for outcome in said:
        assert server.api_key not in outcome.out + outcome.err
    held = [path for path in script.home.rglob("*") if path.is_file()]
    assert len(held) > 3
    for path in held:
        assert server.api_key.encode() not in path.read_bytes(), path


def test_one_config_file_serves_several_homes(cli: Cli, server: Sandbox, tmp_path: Path) -> None:
    script = cli.at(server).configure("team/proj")
    other = tmp_path / "elsewhere"
    script("pull", "--home", str(other), "--config", str(cli.config), code=0)
    assert (other / "lake" / "catalog.sqlite").exists()
    assert [path.name for path in cli.home.iterdir()] == ["mirror.toml"]


def test_pyarrow_and_duckdb_do_without_pandas_and_numpy_which_most_commands_leave_out() -> None:
    asked = (
        "import sys; from mirror.left_out import leave_out; leave_out();"
        "import pyarrow as pa; assert pa.array(['a'], pa.string()).to_pylist() == ['a'];"
        "import duckdb; assert duckdb.execute('SELECT ?', [1]).fetchall() == [(1,)];"
        "assert not {'pandas', 'numpy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", asked], check=True, timeout=60)
