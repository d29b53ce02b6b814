"""The same calls on `wandb.Api()` against the server and on `mirror.Api()` over a mirror of it, with sockets blocked.

Every member that the local `Run` has is called on hostile runs. What differs is named in `DEFECTS`, each one a listed
defect of the SDK, and asserted to differ on both sides.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import wandb

import mirror
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.contract.both import differences, no_sockets, same
from tests.contract.conftest import ENTITY
from tests.contract.hostile import add_hostile_run
from tests.contract.test_everything_equals_sdk import drop_none, plain
from tests.contract.test_mirror_and_sdk import typed as spoken
from tests.mirroring import Mirror
from tests.soaking import thin

RUNS = (33, 66)  # each shape five times, and eleven times
PROJECT = "local proj/ü"
PATH = f"{ENTITY}/local proj"

Call = Callable[[Any], Any]


@pytest.fixture(scope="session", params=thin(RUNS, keep=RUNS[:1]))
def count(request: pytest.FixtureRequest) -> int:
    """How many runs there are."""
    return int(request.param)


@pytest.fixture(scope="session")
def searched(server: Sandbox) -> None:
    """The project has sweeps."""
    state = server.state
    state.add_sweep(
        ENTITY, "local proj", "sw eep1", display_name="a search",
        config_text="method: bayes\nmetric: {name: loss, goal: minimize}\nparameters: {lr: {values: [1, 2]}}\n",
    )  # fmt: skip
    state.add_sweep(ENTITY, "local proj", "sweep2", config_text="method: grid\nname: named\nparameters: {}\n")


@pytest.fixture(scope="session")
def mirrored(count: int, searched: None, server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """Hostile runs with sweeps, metadata and users, and a mirror of them."""
    server.faults.clear()
    state = server.state
    for number in range(len(state.project(ENTITY, "local proj").runs), count):
        server.clock.advance(1)  # no two runs of one time: how ties are broken is the server's own affair
        run = add_hostile_run(server, ENTITY, "local proj", f"run {number:03} é", seed=number)
        if number % 7 == 0:
            run.sweep_name = "sw eep1"
        if number % 5 == 0:
            body = json.dumps({"host": "h", "gpu": None, "n": 2**60}).encode()
            state.add_file(ENTITY, "local proj", run.name, "wandb-metadata.json", body)
    place = Mirror(
        url=server.url,
        api_key=server.api_key,
        home=Home(tmp_path_factory.mktemp("local") / "home"),
        sources=(PATH,),
        policy={"artifacts_include": ("*",)},
    )
    report = place.pull()
    assert report.errors == []
    return place


@pytest.fixture(scope="session")
def theirs(server: Sandbox, mirrored: Mirror) -> Any:
    return wandb.Api(overrides={"entity": ENTITY, "base_url": server.url}, timeout=30)


@pytest.fixture(scope="session")
def ours(mirrored: Mirror) -> Any:
    return mirror.Api(mirrored.home, overrides={"entity": ENTITY})


@pytest.fixture(scope="session")
def pairs(count: int, server: Sandbox, theirs: Any, ours: Any) -> list[tuple[Any, Any]]:
    """Each run as both sides have it, in one order."""
    found = list(theirs.runs(PATH, lazy=False, per_page=count))
    with no_sockets():
        held = {run.id: run for run in ours.runs(PATH, lazy=False)}
    assert len(found) == len(held) == count
    return [(run, held[run.id]) for run in found]


def _field(name: str) -> Call:
    return lambda run: getattr(run, name)


FIELDS = [
    "id", "name", "storage_id", "entity", "project", "path", "url", "state", "tags", "notes", "description", "group",
    "job_type", "jobType", "commit", "read_only", "readOnly", "created_at", "createdAt", "heartbeat_at", "heartbeatAt",
    "history_line_count", "historyLineCount", "history_keys", "historyKeys", "sweep_name", "sweepName", "display_name",
    "displayName", "config", "summary_metrics", "summaryMetrics", "system_metrics", "systemMetrics",
    "metadata", "lastHistoryStep", "updated_at", "project_internal_id", "last_history_step",
    "no_such_member", "_project_internal_id",
]  # fmt: skip

CALLS: dict[str, Call] = {
    **{name: _field(name) for name in FIELDS},
    "user": lambda run: (run.user.name, run.user.username),
    "repr": repr,
    "to_html": lambda run: run.to_html(),
    "to_html hidden": lambda run: run.to_html(height=100, hidden=True),
    "display": lambda run: run.display(),
    "snake_to_camel": lambda run: run.snake_to_camel("a_bc_d"),
    "load": lambda run: sorted(run.load()),
    "load forced": lambda run: sorted(run.load(force=True)),
    "load_full_data": lambda run: sorted(run.load_full_data()),
    "summary keys": lambda run: sorted(run.summary.keys()),
    "summary items": lambda run: {key: str(value) for key, value in run.summary.items()},
    "summary get": lambda run: (run.summary.get("tiny"), run.summary.get("no", 7), "big" in run.summary),
    "summary stripped": lambda run: run.summary[" big "],
    "summary missing": lambda run: run.summary["no such key"],
    "summary nested": lambda run: run.summary["nested"]["a"],
    "summary repr": lambda run: repr(run.summary),
    "summary len": lambda run: len(run.summary),
    "state is read only": lambda run: setattr(run, "state", "x"),
    "sweep": lambda run: run.sweep and (run.sweep.id, run.sweep.name, run.sweep.state, run.sweep.order),
    "files": lambda run: [(f.name, f.size, f.mimetype, f.md5, f.updated_at, f.id) for f in run.files()],
    "files count": lambda run: len(run.files()),
    "files paged": lambda run: [file.name for file in run.files(per_page=1)],
    "files repr": lambda run: repr(run.files()),
    "files slices": lambda run: [file.name for file in run.files()[0:2]],
    "files out of range": lambda run: run.files()[10_000],
    "files by name": lambda run: [file.name for file in run.files(names=["output.log", "nothing"])],
    "files by pattern": lambda run: [file.name for file in run.files(pattern="%.txt")],
    "files by both": lambda run: run.files(names=["a"], pattern="b"),
    "file": lambda run: repr(run.file("output.log")),
    "file missing": lambda run: run.file("no such file"),
    "file size in both spellings": lambda run: [(str(f.size_bytes), str(f.sizeBytes)) for f in run.files()],
    "console": lambda run: [
        (line.number, line.timestamp, line.level, line.label, line.content) for line in run.console_logs()
    ],
    "console last": lambda run: [(line.number, line.content) for line in run.console_logs(last=3)],
    "console repr": lambda run: repr(run.console_logs()),
    "logged artifacts": lambda run: [_artifact(artifact) for artifact in run.logged_artifacts()],
    "used artifacts": lambda run: [_artifact(artifact) for artifact in run.used_artifacts()],
    "artifact count": lambda run: (len(run.logged_artifacts()), len(run.used_artifacts())),
    "scan_history keys no list": lambda run: run.scan_history(keys="loss"),
    "scan_history keys no texts": lambda run: run.scan_history(keys=[["loss"]]),
    "history keys no list": lambda run: run.history(keys="loss", pandas=False),
    "history keys no texts": lambda run: run.history(keys=[1], pandas=False),
    "history keys with a stream": lambda run: run.history(keys=["loss"], stream="system", pandas=False),
    "use_artifact of nonsense": lambda run: run.use_artifact("x"),
    "log_artifact of nonsense": lambda run: run.log_artifact("x"),
    "update_state of nonsense": lambda run: run.update_state("no such state"),
}


def _artifact(artifact: Any) -> tuple[Any, ...]:
    return (
        artifact.name, artifact.type, artifact.version, artifact.aliases, artifact.digest, artifact.size,
        artifact.file_count, artifact.state, artifact.id, artifact.metadata, artifact.description, artifact.tags,
        sorted(artifact.manifest.entries), artifact.source_name, artifact.qualified_name, artifact.created_at,
    )  # fmt: skip


# Ways to ask for what another call compares whole: a third of the runs is enough.
WAYS = {
    *("files paged", "files repr", "files slices", "files out of range", "files by name", "files by pattern"),
    *("file", "file missing", "file size in both spellings", "console last", "console repr", "artifact count"),
}


@pytest.mark.parametrize(
    ("name", "every"), thin([(name, every) for name in CALLS for every in (1, 3)], keep=[(name, 3) for name in CALLS])
)
def test_a_member_answers_what_the_sdk_answers(name: str, every: int, pairs: list[tuple[Any, Any]]) -> None:
    first = list(CALLS).index(name) % every  # so that some member is asked of each run
    asked = pairs[first :: every * (3 if name in WAYS else 1)]
    found = [difference for difference in differences(CALLS[name], asked) if difference]
    assert not found, f"{len(found)} of {len(pairs)} runs differ, the first:\n  {found[0]}"


def _run_id(path: str, api: Any) -> str:
    found: str = api.run(path).id
    return found


API_CALLS: dict[str, Call] = {
    **{
        f"run {path!r}": partial(_run_id, path)
        for path in (
            f"{PATH}/run 000 é",
            "",
            " ",
            ":",
            "///",
            f"{ENTITY}/",
            f"{ENTITY}/local proj:",
            "no/such/run",
            "a/b/c/d/e",
            f"{PATH}/nothing",
            "/",
            f"{ENTITY}/local proj:nothing",
        )
    },
    "the same path, the same object": lambda api: api.run(f"{PATH}:run 001 é") is api.run(f"{PATH}:run 001 é"),
    "the same question, the same runs": lambda api: api.runs(PATH) is api.runs(PATH),
    "runs": lambda api: [run.id for run in api.runs(PATH)],
    "runs count": lambda api: len(api.runs(PATH)),
    "runs repr": lambda api: repr(api.runs(PATH)),
    "runs slice": lambda api: [run.id for run in api.runs(PATH, per_page=7)[3:12]],
    "runs index": lambda api: api.runs(PATH)[3].id,
    "runs of a missing project": lambda api: len(api.runs(f"{ENTITY}/nothing")),
    "iterating a missing project": lambda api: list(api.runs(f"{ENTITY}/nothing")),
    "histories in a wrong format": lambda api: api.runs(PATH).histories(format="x"),
    "a missing sweep": lambda api: api.sweep(f"{PATH}/nothing"),
    "sweep": lambda api: _sweep(api.sweep(f"{PATH}/sw eep1")),
    "sweep without a metric": lambda api: _sweep(api.sweep(f"{PATH}/sweep2")),
    "sweep runs": lambda api: sorted(run.id for run in api.sweep(f"{PATH}/sw eep1").runs),
    "projects": lambda api: [project.name for project in api.projects(ENTITY) if project.name == "local proj"],
    "project": lambda api: (repr(api.project("local proj")), api.project("local proj").path),
    "a missing artifact": lambda api: api.artifact(f"{PATH}/nothing:v0"),
    "an artifact of another type": lambda api: api.artifact(f"{PATH}/set-1:latest", type="nothing"),
}
FILTERS: list[dict[str, Any]] = [
    {"state": "finished"},
    {"state": {"$in": ["running", "crashed"]}},
    {"$or": [{"state": "running"}, {"tags": "a"}]},
    {"config.lr": 0.1},
    {"config.lr": {"$gt": 0.05}},
    {"config.lr.value": {"$lte": 0.1}},
    {"config.flag": True},
    {"summary_metrics.tiny": {"$exists": True}},
    {"summary_metrics.big": {"$gte": 2**53}},
    {"display_name": {"$regex": "^run"}},
    {"displayName": {"$ne": "nothing"}},
    {"name": "run 003 é"},
    {"tags": {"$in": ["ü/ü"]}},
    {"sweep": "sw eep1"},
    {"$nor": [{"state": "finished"}, {"state": "crashed"}]},
    {"$and": [{"state": "running"}, {"tags": "b"}]},
    {"createdAt": {"$gte": "2000-01-01T00:00:00"}},
]
ORDERS: dict[str, Call] = {
    "+created_at": lambda run: run.id,
    "-created_at": lambda run: run.id,
    "-heartbeat_at": lambda run: run.heartbeat_at,
    "+config.lr.value": lambda run: run.config.get("lr"),
    "-summary_metrics.big": lambda run: run.summary_metrics.get("big"),
}


def _sweep(sweep: Any) -> Any:
    best = sweep.best_run()
    return (
        sweep.id, sweep.name, sweep.state, sweep.order, sweep.path, sweep.url, sweep.config, repr(sweep),
        sweep.expected_run_count, sweep.entity, sweep.project, best.id if best else None, sweep.to_html(),
    )  # fmt: skip


@pytest.mark.parametrize("name", API_CALLS)
def test_an_entry_point_answers_what_the_sdk_answers(name: str, theirs: Any, ours: Any) -> None:
    assert same(API_CALLS[name], theirs, ours) is None


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_a_filter_keeps_the_runs_that_the_server_keeps(filters: dict[str, Any], theirs: Any, ours: Any) -> None:
    assert same(lambda api: sorted(run.id for run in api.runs(PATH, filters=filters)), theirs, ours) is None


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_is_the_servers(order: str, theirs: Any, ours: Any) -> None:
    def values(api: Any) -> list[Any]:
        """What the order goes by; where runs without it go, the server's notes do not say."""
        found = [ORDERS[order](run) for run in api.runs(PATH, order=order, lazy=False)]
        return [value for value in found if value is not None]

    assert same(values, theirs, ours) is None


def test_files_download_to_the_same_bytes_and_the_same_errors(pairs: list[tuple[Any, Any]], tmp_path: Path) -> None:
    def load(run: Any) -> dict[str, Any]:
        side = tmp_path / type(run).__module__.split(".")[0] / quote(run.id)
        found: dict[str, Any] = {}
        for file in run.files():
            try:
                with file.download(root=str(side)) as opened:
                    found[file.name] = Path(opened.name).read_bytes()
            except Exception as error:
                assert not _is_safe(file.name)
                found[file.name] = "CommError" in [cls.__name__ for cls in type(error).__mro__]
        return found

    assert not [difference for difference in differences(load, pairs) if difference]


def _is_safe(name: str) -> bool:
    return not name.startswith("/") and ".." not in name.split("/") and len(name.encode()) < 256


@pytest.mark.parametrize("member", ["json_config"])
def test_the_raw_config_is_the_sdks_of_a_single_run_and_listings_do_not_lose_keys_as_its_do(
    member: str, theirs: Any, ours: Any, pairs: list[tuple[Any, Any]]
) -> None:
    listed = {
        run.id: run for run in wandb.Api(overrides={"entity": ENTITY}).runs(PATH, lazy=False, per_page=len(pairs))
    }
    for their, our in pairs[:20]:
        path = f"{PATH}/{their.id}"
        theirs.flush()
        ours.flush()
        assert same(partial(_config_at, path, member), theirs, ours) is None
        # The SDK loses W&B's own keys of a run from a listing, and its `update()` erases them upstream.
        assert "_wandb" not in _config(listed[their.id], member)
        assert "_wandb" in _config(our, member)


def _config_at(path: str, member: str, api: Any) -> dict[str, Any]:
    return _config(api.run(path), member)


def _config(run: Any, member: str) -> dict[str, Any]:
    found = getattr(run, member)
    parsed: dict[str, Any] = json.loads(found) if isinstance(found, str) else found
    return parsed


def test_a_missing_key_of_a_summary_is_no_attribute_where_the_sdk_raises_a_key_error(
    pairs: list[tuple[Any, Any]],
) -> None:
    their, our = pairs[0]
    with pytest.raises(KeyError):
        _ = their.summary.nothing
    assert not hasattr(our.summary, "nothing")


def test_scans_give_the_rows_that_the_sdk_gives_but_for_its_listed_defects(
    server: Sandbox, pairs: list[tuple[Any, Any]]
) -> None:
    noted, compared = Counter[str](), 0
    for their, our in pairs:
        history = server.state.run(ENTITY, "local proj", their.id).history
        if history and history[-1]["_step"] > 10**6:
            continue  # the SDK would ask for each thousand steps of the gap
        scanned: dict[int, dict[str, Any]] = {}
        for row in their.scan_history(use_cache=False):
            there = drop_none(row)
            known = scanned.setdefault(row["_step"], {})  # a step that is exported and live comes twice (12.5)
            known.update({key: value for key, value in there.items() if key not in known})
        with no_sockets():
            held = {row["_step"]: row for row in our.scan_history()}
            again = [row["_step"] for row in our.scan_history(page_size=3)]
            some = [row["_step"] for row in our.scan_history(min_step=5, max_step=50)]
        assert list(held) == again == sorted(scanned), their.id
        assert some == [step for step in again if 5 <= step < 50]
        for step, row in scanned.items():
            mine = {key: plain(value, noted) for key, value in held[step].items()}
            assert spoken(drop_none(mine)) == spoken({k: plain(v, Counter()) for k, v in row.items()}), (their.id, step)
            compared += len(row)
    assert compared > 1000


def test_exports_are_the_same_bytes_and_refused_when_they_lack_rows(
    server: Sandbox, pairs: list[tuple[Any, Any]], tmp_path: Path
) -> None:
    exported = [pair for pair in pairs if server.state.run(ENTITY, "local proj", pair[0].id).parts]
    for whole in (False, True):

        def export(run: Any, whole: bool = whole) -> list[str]:
            folder = tmp_path / type(run).__module__.split(".")[0] / f"{quote(run.id)}-{whole}"
            result = run.download_history_exports(folder, require_complete_history=whole)
            return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in result.paths)

        assert not [difference for difference in differences(export, exported) if difference]
