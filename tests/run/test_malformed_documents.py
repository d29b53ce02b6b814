"""A document that is not JSON fails alone, by its name and its run's; the rest of the run answers."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from mirror import Api, Run
from mirror.errors import CommError
from mirror.sandbox import Sandbox
from mirror.texts.values import DEEPEST
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror
from tests.replaying import Sender
from tests.soaking import thin

ROWS = [{"_step": step, "loss": step / 2} for step in range(6)]
EVENTS = [{"_timestamp": 1.7e9, "_runtime": 2.5, "system.cpu": 1.5}]
# What is asked of a run, and the document that the answer stands in.
QUESTIONS: dict[str, tuple[str, Callable[[Run], Any]]] = {
    "config": ("config", lambda run: run.config),
    "rawconfig": ("config", lambda run: run.rawconfig),
    "json_config": ("config", lambda run: run.json_config),
    "summary_metrics": ("summary", lambda run: run.summary_metrics),
    "summary": ("summary", lambda run: dict(run.summary.items())),
    "summaryMetrics": ("summary", lambda run: run.summaryMetrics),
    "system_metrics": ("system metrics", lambda run: run.system_metrics),
    "lastHistoryStep": ("", lambda run: run.lastHistoryStep),
    "history_keys": ("", lambda run: run.history_keys),
    "history": ("", lambda run: run.history(pandas=False)),
    "scan_history": ("", lambda run: list(run.scan_history())),
    "system history": ("", lambda run: run.history(stream="system", pandas=False)),
    "state": ("", lambda run: run.state),
}
TORN = '{"a": '
DEEP = '{"a": ' + "[" * 100_000
DOCUMENTS = {"config": "config_text", "summary": "summary_text", "system metrics": "system_metrics_text"}


def fill(sandbox: Sandbox, run_id: str, **texts: str) -> None:
    run = sandbox.state.add_run(
        ENTITY, PROJECT, run_id, config={"lr": 1}, summary={"best": 2}, system_metrics={"cpu": 3}, history=ROWS,
        events=EVENTS,
    )  # fmt: skip
    for name, text in texts.items():
        setattr(run, name, text)


# One form for each document; every form of each is for `soak`.
FORMS = {"each": (TORN, "nope", DEEP), "torn": (TORN,) * 3, "no JSON": ("nope",) * 3, "deep": (DEEP,) * 3}


@pytest.mark.parametrize("texts", thin(FORMS, keep=["each"]))
def test_one_malformed_document_costs_itself_alone(texts: tuple[str, ...], sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, "good")
    for number, (field, text) in enumerate(zip(DOCUMENTS.values(), texts, strict=True)):
        fill(sandbox, f"bad{number}", **{field: text})
    assert mirror.pull().errors == []
    good = Api(mirror.home).run(f"{SOURCE}/good")
    right = {name: ask(good) for name, (_, ask) in QUESTIONS.items()}
    for number, malformed in enumerate(DOCUMENTS):
        path = f"{SOURCE}/bad{number}"
        listed = {run.id: run for run in Api(mirror.home).runs(SOURCE)}[f"bad{number}"]
        for run in (Api(mirror.home).run(path), listed, pickle.loads(pickle.dumps(listed))):
            for name, (document, ask) in QUESTIONS.items():
                if document == malformed:
                    with pytest.raises(CommError, match=f"the {document} of {path} cannot be read as JSON"):
                        ask(run)
                else:
                    assert ask(run) == right[name], (malformed, name)


def test_a_listing_with_its_documents_and_their_histories_go_on_past_a_malformed_one(
    sandbox: Sandbox, mirror: Mirror
) -> None:
    fill(sandbox, "bad", summary_text=TORN, config_text="nope")
    fill(sandbox, "good")
    mirror.pull()
    runs = Api(mirror.home).runs(SOURCE, lazy=False)
    assert [run.id for run in runs] == ["bad", "good"]
    histories: Any = runs.histories()
    assert [row["run_id"] for row in histories] == ["bad"] * 6 + ["good"] * 6
    assert "summaryMetrics" not in runs[0].load_full_data()
    assert [run.id for run in Api(mirror.home).runs(SOURCE, {"config.lr": 1})] == ["good"]


def test_fields_of_such_a_run_are_edited_and_its_document_is_not_overwritten(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, "bad", config_text=TORN)
    mirror.pull()
    run = Api(mirror.home).run(f"{SOURCE}/bad")
    run.notes = "noted"
    run.summary["best"] = 3
    run.update()
    sender = Sender(url=sandbox.url, api_key=sandbox.api_key, home=mirror.home)
    assert sender.replay().applied == 1
    record = sandbox.state.run(ENTITY, PROJECT, "bad")
    assert (record.notes, record.summary["best"], record.config_text) == ("noted", 3, TORN)


def test_the_page_of_such_a_run_says_which_document_is_none(sandbox: Sandbox, mirror: Mirror) -> None:
    fill(sandbox, "bad", config_text=TORN)
    mirror.pull()
    page = Api(mirror.home).run(f"{SOURCE}/bad").to_html(local=True)
    assert "its config: W&amp;B sent no JSON" in page
    assert "best" in page


def test_a_sweep_whose_config_is_no_yaml_has_its_name_and_its_runs(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_sweep(ENTITY, PROJECT, "sw", config_text="{method: [")
    sandbox.state.add_run(ENTITY, PROJECT, "r", sweep="sw", summary={"loss": 1})
    mirror.pull()
    sweep = Api(mirror.home).sweep(f"{SOURCE}/sw")
    assert (sweep.name, [run.id for run in sweep.runs]) == ("sw", ["r"])
    best = sweep.best_run("+loss")
    assert best is not None
    assert best.id == "r"
    with pytest.raises(CommError, match=r"the config of .*sw.* is not YAML"):
        _ = sweep.order


@pytest.mark.parametrize("text", [TORN, "[" * (DEEPEST + 2) + "]" * (DEEPEST + 2)], ids=["torn", "deep"])
def test_a_version_whose_metadata_is_no_json_has_its_files(text: str, sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r")
    version = sandbox.state.add_artifact(ENTITY, PROJECT, "data", files={"a": b"a"}, run="r")
    version.metadata = text
    mirror.pull()
    artifact = pickle.loads(pickle.dumps(Api(mirror.home).artifact(f"{SOURCE}/data")))
    assert (artifact.version, list(artifact.manifest.entries)) == ("v0", ["a"])
    with pytest.raises(CommError, match="the metadata of team/proj/data:v0 is not JSON"):
        _ = artifact.metadata
