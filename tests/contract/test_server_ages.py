"""The real SDK and the mirror beside one another: on servers of each age, and on histories in each form of exports.

Where the SDK is known to be wrong (bytes as base64 text, rows of a partly exported run twice), the mirror gives what
was logged.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import wandb

import mirror
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.contract.conftest import ENTITY
from tests.mirroring import Mirror
from tests.soaking import thin

LOGGED = [
    {
        "_step": step,
        "loss": 1 / (step + 1),
        "n": step,
        "big": 2**53 + 2 * step,
        "map": {"a": step, "b": {"c": f"t{step}"}},
        "list": [step, step + 1],
        "flag": step % 2 == 0,
        "text": f"t{step}",
        "histogram": {"_type": "histogram", "values": [1, 2], "bins": [0.0, 0.5, 1.0]},
    }
    for step in range(33)
]
AGES = ("now", "2024", "2023", "2021")


def fill(server: Sandbox) -> None:
    state = server.state
    runs: dict[str, dict[str, Any]] = {
        "ended": {},
        "partly": {"state": "running", "exported": 12},
        "live": {"state": "running", "exported": False},
        "unexported": {"exported": False},
    }
    for name, options in runs.items():
        state.add_run(
            ENTITY, "ages", name, history=LOGGED, config={"lr": 0.1, "deep": {"n": 1}}, tags=["x"], notes="n",
            console=["one", "two"], files={"a.txt": b"bytes"}, summary={"loss": 0.5, "best": {"n": 3}}, **options,
        )  # fmt: skip
    state.add_artifact(ENTITY, "ages", "set", files={"f": b"x"}, run="ended")


def mirrored(server: Sandbox, place: Path) -> Mirror:
    return Mirror(url=server.url, api_key=server.api_key, home=Home(place), sources=(f"{ENTITY}/ages",))


def nested(rows: Any) -> list[dict[str, Any]]:
    """Rows as they were logged: the SDK and the mirror give dotted keys where W&B flattened a map."""
    found = []
    for row in rows:
        whole: dict[str, Any] = {}
        for key, value in row.items():
            if value is None or key in {"_timestamp", "_runtime"}:
                continue
            place = whole
            *parents, last = key.split(".")
            for parent in parents:
                place = place.setdefault(parent, {})
            if isinstance(value, dict) and isinstance(place.get(last), dict):
                place[last] |= value
            else:
                place[last] = value
        found.append(whole)
    return found


def in_sql(place: Mirror) -> list[tuple[Any, ...]]:
    rows = place.ask("SELECT key, step, value, text FROM metrics ORDER BY key, step")
    return [(row["key"], row["step"], row["value"], row["text"] and json.loads(row["text"])) for row in rows]


@pytest.mark.parametrize(
    ("age", "introspection"),
    thin(
        [(age, told) for age in AGES for told in (True, False)],
        keep=[(AGES[0], False), (AGES[1], True), (AGES[-1], False)],
    ),
)
def test_a_mirror_of_a_server_of_any_age_answers_as_the_sdk_does_there(
    server: Sandbox, age: Any, introspection: bool, tmp_path: Path
) -> None:
    del server  # its environment keeps the SDK inside the temporary folder
    with Sandbox.start(age=age, introspection=introspection) as old:
        fill(old)
        place = mirrored(old, tmp_path / "home")
        report = place.pull()
        assert report.failures == 0
        assert report.errors == []
        theirs = wandb.Api(overrides={"entity": ENTITY, "base_url": old.url}, api_key=old.api_key)
        ours = mirror.Api(home=place.home.root)
        for name in ("ended", "partly", "live", "unexported"):
            run, twin = ours.run(f"{ENTITY}/ages/{name}"), _run_by(theirs, name)
            if twin is not None:  # else this SDK asks for more than such a server knows
                assert (run.config, run.tags, run.state, run.name) == (twin.config, twin.tags, twin.state, twin.name)
                assert run.summary_metrics == twin.summary_metrics
            assert nested(run.scan_history()) == LOGGED, name
            assert [file.name for file in run.files()] == ["a.txt"]
        assert [artifact.name for artifact in ours.run(f"{ENTITY}/ages/ended").logged_artifacts()] == ["set:v0"]


def _run_by(api: Any, name: str) -> Any:
    try:
        run = api.run(f"{ENTITY}/ages/{name}")
        _ = run.config
    except wandb.errors.CommError:
        return None
    return run


@pytest.mark.parametrize(
    "style",
    thin(
        {style: style for style in ("struct", "dotted", "json_bytes", "dotted_json_bytes")}
        | {"mixed parts": ("struct", "json_bytes", "dotted")},
        keep=["struct", "dotted_json_bytes", "mixed parts"],
    ),
)
def test_a_history_is_the_one_that_was_logged_in_every_form_and_after_a_compaction(
    server: Sandbox, project: str, style: Any, tmp_path: Path
) -> None:
    run = server.state.add_run(ENTITY, project, "h", history=LOGGED, parts=3, column_style=style)
    place = Mirror(
        url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"), sources=(f"{ENTITY}/{project}",)
    )
    assert place.pull().failures == 0
    path = f"{ENTITY}/{project}/h"
    before = list(mirror.Api(home=place.home.root).run(path).scan_history())
    assert nested(before) == LOGGED
    values = in_sql(place)
    server.state.compact(run)
    server.state.edit_run(ENTITY, project, "h", touch_heartbeat=True)
    server.clock.advance(600)
    assert place.pull().failures == 0
    after = list(mirror.Api(home=place.home.root).run(path).scan_history())
    assert after == before
    assert [type(row["n"]) for row in after] == [int] * len(LOGGED)
    assert in_sql(place) == values


def test_what_the_sdk_gets_wrong_of_bytes_and_partly_exported_runs_is_right_here(
    server: Sandbox, api: Any, project: str, tmp_path: Path
) -> None:
    state = server.state
    state.add_run(ENTITY, project, "bytes", history=LOGGED, column_style="json_bytes")
    state.add_run(ENTITY, project, "partly", history=LOGGED, exported=12, state="running")
    place = Mirror(
        url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"), sources=(f"{ENTITY}/{project}",)
    )
    assert place.pull().failures == 0
    ours = mirror.Api(home=place.home.root)
    theirs = list(api.run(f"{ENTITY}/{project}/bytes").scan_history(use_cache=False))
    assert nested(theirs) != LOGGED  # the SDK's own defect; this test is wrong once it is gone
    assert nested(ours.run(f"{ENTITY}/{project}/bytes").scan_history()) == LOGGED
    twice = list(api.run(f"{ENTITY}/{project}/partly").scan_history(use_cache=False))
    assert len(twice) > len(LOGGED)  # likewise
    assert nested(ours.run(f"{ENTITY}/{project}/partly").scan_history()) == LOGGED
