"""No name of the SDK's is missing: readers answer what the SDK answers, what a mirror cannot do says so."""

from __future__ import annotations

import datetime as dt
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.apis import public

import mirror
from mirror.errors import CommError, NotMirrored
from mirror.layout import Home
from mirror.run.artifacts.artifact import Artifact
from mirror.run.artifacts.collection_lists import ArtifactCollections, Artifacts, ArtifactTypes
from mirror.run.artifacts.collections import ArtifactCollection, ArtifactType
from mirror.run.artifacts.files import ArtifactFiles
from mirror.run.artifacts.logged_objects import Media
from mirror.run.artifacts.run_artifacts import RunArtifacts
from mirror.run.artifacts.table import Table
from mirror.run.files import File, Files
from mirror.run.projects import Project, Projects
from mirror.run.run import Run
from mirror.run.runs import Runs
from mirror.run.sweeps import Sweep, Sweeps
from mirror.run.user import User
from mirror.sandbox import Sandbox
from tests.contract.both import no_sockets, same
from tests.contract.conftest import ENTITY
from tests.contract.test_live_runs import begin
from tests.mirroring import Mirror

PROJECT = "surface"
PATH = f"{ENTITY}/{PROJECT}"

TWINS: list[tuple[Any, Any]] = [
    (public.Api, mirror.Api),
    (wandb.Artifact, Artifact),
    (public.ArtifactCollection, ArtifactCollection),
    (public.ArtifactType, ArtifactType),
    (public.Artifacts, Artifacts),
    (public.ArtifactCollections, ArtifactCollections),
    (public.ArtifactTypes, ArtifactTypes),
    (public.ArtifactFiles, ArtifactFiles),
    (public.RunArtifacts, RunArtifacts),
    (public.Run, Run),
    (public.Runs, Runs),
    (public.Project, Project),
    (public.Projects, Projects),
    (public.Sweep, Sweep),
    (public.Sweeps, Sweeps),
    (public.File, File),
    (public.Files, Files),
    (public.User, User),
]
# How the SDK's lists ask and parse: of no use without a server.
PAGING = {"QUERY", "convert_objects", "last_response", "update_variables"}


@pytest.mark.parametrize(("theirs", "ours"), TWINS, ids=lambda cls: cls.__name__)
def test_no_public_name_of_the_sdk_is_missing(theirs: Any, ours: Any) -> None:
    names = {name for name in dir(theirs) if not name.startswith("_")} - PAGING
    assert names - set(dir(ours)) == set()


@pytest.mark.parametrize("theirs_and_ours", [*TWINS[:4], TWINS[9]], ids=lambda pair: pair[0].__name__)
def test_a_member_takes_the_arguments_that_the_sdks_takes(theirs_and_ours: tuple[Any, Any]) -> None:
    theirs, ours = theirs_and_ours
    for name in dir(theirs):
        member = inspect.getattr_static(theirs, name)
        if name.startswith("_") or not inspect.isfunction(member):
            continue
        wanted = [p for p in inspect.signature(member).parameters.values() if p.kind is not p.VAR_KEYWORD]
        taken = inspect.signature(inspect.getattr_static(ours, name)).parameters
        for place, parameter in enumerate(wanted):
            assert parameter.name in taken, f"{name}({parameter.name})"
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                assert list(taken)[place] == parameter.name, name


def test_the_constructor_is_the_sdks_and_takes_a_home_besides(tmp_path: Path) -> None:
    given, *others = inspect.signature(public.Api).parameters
    first, *taken = inspect.signature(mirror.Api).parameters.values()
    assert first.kind is first.POSITIONAL_ONLY
    assert [parameter.name for parameter in taken] == [*others, given, "home"]
    api = mirror.Api({"entity": "e", "project": "p"}, 30, "x" * 40, home=tmp_path)
    assert (api.default_entity, api.settings["project"], api.home.root) == ("e", "p", tmp_path)
    assert "x" * 40 not in str(vars(api))
    assert mirror.Api(tmp_path, timeout=9).home == mirror.Api(home=tmp_path).home
    with pytest.raises(TypeError, match="twice"):
        mirror.Api(tmp_path, home=tmp_path)
    with pytest.raises(TypeError, match="twice"):
        mirror.Api({}, overrides={})
    named = mirror.Api(tmp_path, overrides={"entity": "f"})
    assert (named.home, named.default_entity) == (api.home, "f")
    with pytest.raises(TypeError, match="overrides"):
        mirror.Api(tmp_path, {"entity": "e"})  # type: ignore[arg-type]  # as earlier versions took it


@pytest.fixture(scope="session")  # a worker may come back to it, and finds its runs there
def mirrored(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """Artifacts of two types and a sweep; and a table that the SDK logged."""
    server.faults.clear()
    state = server.state
    state.add_sweep(ENTITY, PROJECT, "sw", config_text="method: grid\nparameters: {}\n")
    state.add_run(ENTITY, PROJECT, "maker", summary={"loss": 1})
    for number in range(3):
        state.add_artifact(
            ENTITY, PROJECT, "data", files={"a.txt": f"{number}".encode()}, tags=["even"] if number != 1 else [],
            aliases=["first"] if number == 0 else [], run="maker", type="dataset",
        )  # fmt: skip
    state.add_artifact(ENTITY, PROJECT, "weights", files={"w": b"w"}, type="model", run="maker")
    state.add_artifact(ENTITY, PROJECT, "launch", files={"j": b"j"}, type="job", run="maker")
    state.add_run("another-team", "other", "theirs")
    run = begin(PROJECT, "tables")
    table = wandb.Table(columns=["n", "text", "at", "mixed"])
    table.add_data(1, "a", dt.datetime(2024, 1, 2, tzinfo=dt.UTC), {"deep": [1]})
    table.add_data(2, "ü", dt.datetime(2024, 1, 3, tzinfo=dt.UTC), None)
    run.log({"table": table})
    artifact = wandb.Artifact("media", type="dataset")
    artifact.add(table, "inner/table")
    artifact.add(wandb.Html("<p>hi</p>"), "page")
    run.log_artifact(artifact).wait()
    run.finish()
    place = Mirror(
        url=server.url,
        api_key=server.api_key,
        home=Home(tmp_path_factory.mktemp("surface") / "home"),
        sources=(PATH, "another-team/other"),
        policy={"artifacts_include": ("*",)},
    )
    assert place.pull().errors == []
    return place


@pytest.fixture
def theirs(server: Sandbox, mirrored: Mirror) -> Any:
    return wandb.Api(overrides={"entity": ENTITY, "base_url": server.url}, timeout=30)


@pytest.fixture
def ours(mirrored: Mirror) -> Any:
    return mirror.Api(overrides={"entity": ENTITY}, timeout=30, home=mirrored.home)


def _collection(found: Any) -> Any:
    facts = (found.name, found.type, found.entity, found.project, found.project_id, found.project_internal_id)
    return facts, sorted(found.aliases), found.is_sequence(), repr(found), [one.name for one in found.artifacts()]


READERS: dict[str, Callable[[Any], Any]] = {
    "viewer": lambda api: (api.viewer.username, api.viewer.name, api.viewer.entity, api.viewer.teams, api.viewer.id),
    "viewer's email": lambda api: (api.viewer.email, api.viewer.admin, repr(api.viewer)),
    "from_path project": lambda api: repr(api.from_path(PROJECT)),
    "from_path entity": lambda api: repr(api.from_path(PATH)),
    "from_path run": lambda api: repr(api.from_path(f"{PATH}/maker")),
    "from_path runs": lambda api: repr(api.from_path(f"{PATH}/runs/maker")),
    "from_path sweep": lambda api: repr(api.from_path(f"{PATH}/sweeps/sw")),
    "from_path nonsense": lambda api: api.from_path("a/b/c/d/e"),
    "artifact_exists": lambda api: [api.artifact_exists(f"{PATH}/{name}") for name in ("data", "data:v1", "data:no")],
    "artifact_exists of a type": lambda api: [api.artifact_exists(f"{PATH}/data", kind) for kind in ("dataset", "m")],
    "artifact_collection_exists": lambda api: [
        api.artifact_collection_exists(f"{PATH}/{name}", kind)
        for name, kind in (("data", "dataset"), ("data", "model"), ("nope", "dataset"))
    ],
    "artifact_collection": lambda api: _collection(api.artifact_collection("dataset", f"{PATH}/data")),
    "artifact_collection missing": lambda api: api.artifact_collection("dataset", f"{PATH}/nope"),
    "artifact_collections": lambda api: [one.name for one in api.artifact_collections(PATH, "model")],
    "artifact_collections count": lambda api: len(api.artifact_collections(PATH, "dataset")),
    "artifact_type": lambda api: (api.artifact_type("model", PATH).name, repr(api.artifact_type("model", PATH))),
    "artifact_type missing": lambda api: api.artifact_type("nope", PATH),
    "artifact_type's collections": lambda api: [
        one.name for one in api.artifact_type("dataset", PATH).collections(order="-name")
    ],
    "artifact_type's collection": lambda api: _collection(api.artifact_type("model", PATH).collection("weights")),
    "artifact_types": lambda api: sorted(one.name for one in api.artifact_types(PATH)),
    "artifacts": lambda api: [one.name for one in api.artifacts("dataset", f"{PATH}/data")],
    "artifacts by age": lambda api: [one.name for one in api.artifacts("dataset", f"{PATH}/data", "+created_at")],
    "artifacts by number": lambda api: [one.name for one in api.artifacts("dataset", f"{PATH}/data", "-versionIndex")],
    "artifacts by tag": lambda api: [one.name for one in api.artifacts("dataset", f"{PATH}/data", tags=["even"])],
    "artifacts missing": lambda api: list(api.artifacts("dataset", f"{PATH}/nope")),
    "artifact_versions": lambda api: [one.name for one in api.artifact_versions("dataset", f"{PATH}/data")],
    "list_jobs": lambda api: api.list_jobs(ENTITY, PROJECT),
    "list_jobs without a project": lambda api: api.list_jobs(ENTITY, None),
    "draft facts": lambda api: [
        (one.incremental, one.distributed_id, one.linked_at, one.get_added_local_path_name("x"), one.finalize())
        for one in [api.artifact(f"{PATH}/data:v0")]
    ],
    "unlink": lambda api: api.artifact(f"{PATH}/data:v0").unlink(),
    "add to a version": lambda api: api.artifact(f"{PATH}/data:v0").add_reference("http://127.0.0.1:9/x"),
    "new_file in a version": lambda api: api.artifact(f"{PATH}/data:v0").new_file("x").__enter__(),
    "a logged object that is not there": lambda api: api.artifact(f"{PATH}/data:v0").get("nope"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", READERS)
def test_a_reading_member_answers_what_the_sdk_answers(name: str, theirs: Any, ours: Any) -> None:
    assert same(READERS[name], theirs, ours) is None


@pytest.mark.parametrize("name", ["table", "inner/table", "table.table.json"])
def test_a_logged_table_is_had_by_its_name(name: str, theirs: Any, ours: Any, tmp_path: Path) -> None:
    path = f"{PATH}/media:latest" if "/" in name else f"{PATH}/run-tables-table:latest"
    wanted = theirs.artifact(path).get(name)
    with no_sockets():
        found = ours.artifact(path)[name]
    assert isinstance(found, Table)
    assert (found.columns, found.data) == (wanted.columns, wanted.data)
    assert found.get_column("text") == wanted.get_column("text")
    assert [(int(number), row) for number, row in wanted.iterrows()] == list(found.iterrows())
    assert found.get_dataframe().equals(wanted.get_dataframe())


def test_a_logged_page_is_had_with_its_file(ours: Any, tmp_path: Path) -> None:
    with no_sockets():
        found = ours.artifact(f"{PATH}/media:latest").get("page")
        assert isinstance(found, Media)
        assert "<p>hi</p>" in Path(found.download(str(tmp_path))).read_text()


def test_a_table_in_parts_and_a_joined_one_are_read(server: Sandbox, ours: Any, project: str, tmp_path: Path) -> None:
    def table(*rows: int) -> bytes:
        return json.dumps({"columns": ["n"], "data": [[row] for row in rows]}).encode()

    server.state.add_run(ENTITY, project, "r")
    files = {
        "parts/1.table.json": table(1, 2),
        "parts/2.table.json": table(3),
        "all.partitioned-table.json": b'{"parts_path": "parts"}',
        "both.joined-table.json": b'{"table1": "parts/1.table.json", "table2": "gone.table.json", "join_key": "n"}',
        "torn.table.json": b'{"columns": ["n"], "data": ',
        "odd.table.json": b'{"columns": 3, "data": [[1]]}',
    }
    server.state.add_artifact(ENTITY, project, "odd", files=files, run="r")
    place = Mirror(
        url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"), sources=(f"{ENTITY}/{project}",),
        policy={"artifacts_include": ("*",)},
    )  # fmt: skip
    assert place.pull().errors == []
    artifact = mirror.Api(home=place.home).artifact(f"{ENTITY}/{project}/odd")
    assert list(artifact.get("all").iterrows()) == [(0, [1]), (1, [2]), (2, [3])]  # type: ignore[union-attr]
    joined: Any = artifact.get("both")
    assert (joined.table1.data, joined.table2, joined.join_key) == ([[1], [2]], "gone.table.json", "n")
    for name in ("torn", "odd"):
        with pytest.raises(CommError, match=f"{name}.table.json"):
            artifact.get(name)


REFUSED: dict[str, Callable[[Any], Any]] = {
    "automation": lambda api: api.automation("a", entity=ENTITY),
    "automations": lambda api: api.automations(ENTITY),
    "integrations": lambda api: api.integrations(),
    "slack_integrations": lambda api: api.slack_integrations(),
    "webhook_integrations": lambda api: api.webhook_integrations(),
    "job": lambda api: api.job("e/p/j:v0"),
    "organization": lambda api: api.organization(),
    "queued_run": lambda api: api.queued_run("e", "p", "q", "i"),
    "registries": lambda api: api.registries(),
    "registry": lambda api: api.registry("models"),
    "reports": lambda api: api.reports(PATH),
    "from_path of a report": lambda api: api.from_path(f"{PATH}/reports/a--b"),
    "run_queue": lambda api: api.run_queue("e", "q"),
    "team": lambda api: api.team("t"),
    "user": lambda api: api.user("somebody"),
    "users": lambda api: api.users("some"),
    "create_automation": lambda api: api.create_automation(object()),
    "update_automation": lambda api: api.update_automation(object()),
    "delete_automation": lambda api: api.delete_automation("a"),
    "create_custom_chart": lambda api: api.create_custom_chart("e", "c", "C", "vega2", "private", {}),
    "create_project": lambda api: api.create_project("p", "e"),
    "create_registry": lambda api: api.create_registry("r", "organization"),
    "create_run_queue": lambda api: api.create_run_queue("q", "kubernetes"),
    "upsert_run_queue": lambda api: api.upsert_run_queue("q", {}, "kubernetes"),
    "create_team": lambda api: api.create_team("t"),
    "create_user": lambda api: api.create_user("a@example.org"),
    "sync_tensorboard": lambda api: api.sync_tensorboard("logs"),
    "artifact.description": lambda api: setattr(api.artifact(f"{PATH}/data"), "description", "x"),
    "artifact.metadata": lambda api: setattr(api.artifact(f"{PATH}/data"), "metadata", {}),
    "artifact.link": lambda api: api.artifact(f"{PATH}/data").link("x"),
    "artifact.delete": lambda api: api.artifact(f"{PATH}/data").delete(),
    "artifact.new_draft": lambda api: api.artifact(f"{PATH}/data").new_draft(),
    "artifact.ttl": lambda api: api.artifact(f"{PATH}/data").ttl,
    "artifact.linked_artifacts": lambda api: api.artifact(f"{PATH}/data").linked_artifacts,
    "collection.save": lambda api: api.artifact(f"{PATH}/data").collection.save(),
    "collection.tags": lambda api: api.artifact(f"{PATH}/data").collection.tags,
    "collection.description": lambda api: setattr(api.artifact(f"{PATH}/data").collection, "description", "d"),
    "collection.delete": lambda api: api.artifact(f"{PATH}/data").collection.delete(),
    "user.teams": lambda api: api.run(f"{PATH}/maker").user.teams,
    "viewer.generate_api_key": lambda api: api.viewer.generate_api_key(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_mirror_cannot_answer_or_do_is_told_in_a_sentence_and_not_queued(name: str, ours: Any) -> None:
    with no_sockets(), pytest.raises(CommError) as refused:
        REFUSED[name](ours)
    assert refused.value.hint
    assert "mirror" in refused.value.message or "server" in refused.value.message
    assert not any(ours._local.outbox.counts().values())


def test_the_keys_owner_gives_the_entity_where_several_are_mirrored(
    server: Sandbox, mirrored: Mirror, theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_ENTITY", raising=False)
    viewer = wandb.Api(overrides={"base_url": server.url}).default_entity
    with no_sockets():
        assert mirror.Api(home=mirrored.home).default_entity == viewer
        assert mirror.Api({"entity": ENTITY}, home=mirrored.home).run(f"{PROJECT}/maker").entity == ENTITY
        monkeypatch.setenv("WANDB_ENTITY", "another-team")
        assert mirror.Api(home=mirrored.home).run("other/theirs").entity == "another-team"


def test_whose_key_it_is_survives_and_follows_the_key(server: Sandbox, project: str, tmp_path: Path) -> None:
    server.state.add_run(ENTITY, project, "r")
    place = Mirror(
        url=server.url, api_key=server.api_key, home=Home(tmp_path / "home"), sources=(f"{ENTITY}/{project}",)
    )
    with pytest.raises(NotMirrored, match="not known"):
        _ = mirror.Api(home=place.home).viewer
    place.pull()
    with no_sockets():
        api = mirror.Api(home=place.home)
        assert api.viewer.username == wandb.Api(overrides={"base_url": server.url}).viewer.username
        assert repr(api.user(str(api.viewer.username))) == repr(api.viewer)
        assert api.default_entity == ENTITY  # nothing of the owner's own is mirrored, and of one team alone
        assert api.run(f"{project}/r").entity == ENTITY
