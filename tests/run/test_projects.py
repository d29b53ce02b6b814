"""Projects that are mirrored, as the SDK tells of them."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from mirror import Api, NotMirrored
from mirror.sandbox import Sandbox
from tests.contract.conftest import ENTITY as TEAM
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.run.world import World, offline


def test_a_project_is_what_the_sdk_tells_of_it(world: World) -> None:
    def told(api: Any) -> Any:
        project = api.project(world.project, TEAM)
        fields = project.name, project.entity, project.id, project.created_at, project.createdAt, project.entity_name
        return fields, project.path, project.url, repr(project), project.to_html(), project.to_html(9, hidden=True)

    world.same_of_api(told)
    world.same_of_api(lambda api: api.project(world.project, TEAM).nothing_of_this_name)


def test_a_project_that_is_not_there_shows_when_it_is_looked_at(world: World) -> None:
    world.same_of_api(lambda api: repr(api.project("nothing", TEAM)))
    assert "NotMirrored" in world.same_of_api(lambda api: api.project("nothing", TEAM).id).kinds
    failed = world.same_of_api(lambda api: api.project("nothing", TEAM).created_at)
    assert {"NotMirrored", "AttributeError"} <= failed.kinds


def test_fields_that_no_pull_asks_for_say_so(world: World) -> None:
    with offline():
        project = world.api().project(world.project, TEAM)
        with pytest.raises(NotMirrored, match="is_benchmark of <Project"):
            _ = project.is_benchmark
        assert not hasattr(project, "is_benchmark")
        with pytest.raises(NotMirrored, match="owner of <Project"):
            _ = project.owner


def test_the_projects_of_an_entity_are_those_that_are_mirrored(sandbox: Sandbox, mirror: Mirror) -> None:
    for name in ("beta", PROJECT, "alpha"):
        sandbox.state.add_run(ENTITY, name, "r1")
    sandbox.state.add_run("others", "theirs", "r1")
    mirror.sources = (f"{ENTITY}/*", "others/theirs")
    mirror.pull()
    with offline():
        projects = Api(mirror.home).projects(ENTITY, per_page=2)
        assert [project.name for project in projects] == ["alpha", "beta", PROJECT]
        assert (repr(projects), projects.length) == (f"<Projects {ENTITY}>", None)
        assert [project.name for project in pickle.loads(pickle.dumps(projects))] == ["alpha", "beta", PROJECT]
        assert [project.name for project in Api(mirror.home).projects("others")] == ["theirs"]
        assert list(Api(mirror.home).projects("nobody")) == []


def test_types_and_collections_are_those_of_the_sdk(world: World) -> None:
    def types(api: Any) -> Any:
        found = api.project(world.project, TEAM).artifacts_types()
        return [(kind.name, repr(kind), sorted(one.name for one in kind.collections())) for kind in found]

    def collections(api: Any) -> Any:
        found = api.project(world.project, TEAM).collections()
        return sorted((one.name, one.type, sorted(one.aliases), [v.name for v in one.artifacts()]) for one in found)

    assert world.same_of_api(types) == [("dataset", "<ArtifactType dataset>", ["data", "far"])]
    assert world.same_of_api(collections)[0][3] == ["data:v2", "data:v1", "data:v0"]


def test_a_project_travels_to_another_process(world: World) -> None:
    with offline():
        project = pickle.loads(pickle.dumps(world.api().project(world.project, TEAM)))
        assert (project.id, len(project.sweeps())) == (world.api().project(world.project, TEAM).id, 2)
