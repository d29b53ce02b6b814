"""The whole route with the real SDK at both ends: what it logs is mirrored, and the mirror says what it reads."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.contract.conftest import ENTITY
from tests.mirroring import Mirror

# What makes a run hostile, one item a run: config and summary as wire texts or values.
HOSTILE: list[dict[str, Any]] = [
    {},
    {"config": {"lr": 0.1, "nested": {"a": [1, 2, {"b": None}]}, "flag": True, "text": "né ☃ 'quoted' \"double\""}},
    {"config": {"a.b": 1, "a/b": 2, "a b": 3, 'a"b': 4, "": 5, "ключ": 6}},
    {"config": {"big": 2**53 + 1, "bigger": 2**70, "negative": -(2**63), "tiny": 5e-324}},
    {"config_text": '{"raw": {"value": "tab\there", "desc": null}, "bare": 3, "odd": {"x": 1}}'},
    {"config_text": "[1, 2, 3]"},
    {"config_text": None},
    {"config": {"blob": "x" * 1_200_000}},
    {"summary": {"loss": float("nan"), "up": float("inf"), "down": float("-inf"), "zero": -0.0}},
    {"summary": {"loss": float("nan")}, "nonfinite": "text"},
    {
        "summary": {
            "acc": {"top1": 0.5, "top5": 0.9},
            "hist": {"_type": "histogram", "values": [1, 2], "bins": [0, 1, 2]},
        }
    },
    {"summary": {"count": 2**53 + 1, "key.with.dots": 1, "key/with/slash": 2}},
    {
        "tags": ["b", "a", "ü/ü"],
        "notes": "line\nline",
        "group": "g",
        "job_type": "train",
        "display_name": "same/name\n",
    },
    {"system_metrics": {"system.cpu": 12.5, "system.gpu.0.memory": 2**40}},
    {"state": "running"},
    {"state": "crashed", "display_name": "same/name\n"},
]


def exact(value: Any) -> Any:
    """A value of the SDK with non-finite numbers as the strings that W&B and the mirror use."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    return [exact(item) for item in value] if isinstance(value, list) else value


def typed(value: Any) -> str:
    """A text that two values share only when they agree to the last digit and the type."""
    return json.dumps(exact(value), sort_keys=True)


def test_what_the_mirror_says_of_hostile_runs_is_what_the_sdk_says(
    server: Sandbox, api: Any, project: str, tmp_path: Path
) -> None:
    for number, facts in enumerate(HOSTILE):
        server.state.add_run(ENTITY, project, f"run-{number:02}", **facts)
    mirror = Mirror(url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"))
    assert mirror.pull(f"{ENTITY}/{project}").failures == 0
    held = {row["run_id"]: row for row in mirror.ask("SELECT * FROM runs")}

    seen = 0
    for run in api.runs(f"{ENTITY}/{project}", lazy=False):
        row = held[run.id]
        seen += 1
        if isinstance(row["config"], dict) or row["config"] is None:  # a config that is no object stays what it is
            assert typed(row["config"] or {}) == typed(run.config), run.id
        else:
            assert run.config == {}
        assert typed(row["summary"] or {}) == typed(run.summary_metrics), run.id
        assert typed(row["system_metrics"] or {}) == typed(run.system_metrics), run.id
        assert (row["storage_id"], row["display_name"], row["state"]) == (run.storage_id, run.name, run.state)
        assert row["tags"] == run.tags
        assert (row["group"], row["job_type"], row["notes"]) == (run.group, run.job_type, run.notes)
        assert (row["entity"], row["project"]) == (run.entity, run.project)
        assert row["user"] == run.user.username
        assert row["history_line_count"] == run.history_line_count
        assert run.created_at.rstrip("Z").startswith(row["created_at"][:19])
    assert seen == len(HOSTILE) == len(held)


def test_a_run_logged_by_the_sdk_is_mirrored_and_answered_with_the_server_gone(
    server: Sandbox, project: str, tmp_path: Path
) -> None:
    import wandb

    with wandb.init(entity=ENTITY, project=project, config={"lr": 0.5}, tags=["live"], name="by the SDK") as run:
        for step in range(5):
            run.log({"loss": 1.0 / (step + 1), "nested": {"deep": step}})
    mirror = Mirror(url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"))
    mirror.pull(f"{ENTITY}/{project}")
    with server.outage():
        (row,) = mirror.ask("SELECT * FROM runs")
    assert row["run_id"] == run.id
    assert row["state"] == "finished"
    assert row["display_name"] == "by the SDK"
    assert row["tags"] == ["live"]
    assert row["config"] == {"lr": 0.5}
    assert row["summary"]["loss"] == 0.2
    assert row["summary"]["nested"] == {"deep": 4}
    assert row["history_line_count"] == 5


def test_edits_made_with_the_sdk_arrive_with_the_next_reconcile(
    server: Sandbox, api: Any, project: str, tmp_path: Path
) -> None:
    server.state.add_run(ENTITY, project, "edited", config={"lr": 1}, summary={"loss": 1})
    mirror = Mirror(url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"))
    mirror.pull(f"{ENTITY}/{project}")
    run = api.run(f"{ENTITY}/{project}/edited")
    run.tags.append("later")
    run.config["lr"] = 2
    run.summary["loss"] = 0.25
    run.update()
    mirror.pull(f"{ENTITY}/{project}", force_walk=True)
    (row,) = mirror.ask("SELECT tags, config, summary FROM runs")
    assert row == {"tags": ["later"], "config": {"lr": 2}, "summary": {"loss": 0.25}}


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_a_state_set_with_the_sdk_arrives_with_a_plain_pull_while_the_run_is_active(
    server: Sandbox, api: Any, project: str, tmp_path: Path, state: str
) -> None:
    server.state.add_run(ENTITY, project, "active", state="running")
    mirror = Mirror(url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"))
    mirror.pull(f"{ENTITY}/{project}")
    assert api.run(f"{ENTITY}/{project}/active").update_state(state)
    mirror.pull(f"{ENTITY}/{project}")
    assert mirror.ask("SELECT state FROM runs") == [{"state": state}]
