"""`run.download_history_exports()` offline: the bytes that W&B exported, and never a part for the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.errors import HomeUnusable, IncompleteRunHistoryError, NotMirrored
from mirror.records.addresses import RunPath
from mirror.run.history.exports import export_name
from mirror.sandbox import Sandbox
from tests.contract.conftest import ENTITY
from tests.run.history_world import PROJECT, Histories, history_world, offline


@pytest.fixture(scope="session")  # a worker may come back to it, and finds its runs there
def world(server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Histories:
    """Histories of every kind; tests only read."""
    return history_world(server, tmp_path_factory)


def served(server: Sandbox, run_id: str) -> list[bytes]:
    run = server.state.run(ENTITY, PROJECT, run_id)
    return [server.state.bucket.get(part.object_key) or b"" for part in run.parts]


def test_exports_are_those_of_the_sdk_byte_for_byte_in_the_order_of_their_steps(
    world: Histories, server: Sandbox, tmp_path: Path
) -> None:
    theirs = world.sdk.run(world.path("plain")).download_history_exports(tmp_path / "theirs")
    with offline():
        mine = world.run("plain").download_history_exports(tmp_path / "new" / "mine")
    assert [path.read_bytes() for path in mine.paths] == served(server, "plain")
    assert {path.read_bytes() for path in theirs.paths} == {path.read_bytes() for path in mine.paths}
    assert (mine.contains_live_data, mine.errors) == (theirs.contains_live_data, None)
    assert sorted(path.name for path in mine.paths) == [
        f"{ENTITY}_{PROJECT}_plain_{n}.runhistory.parquet" for n in "012"
    ]
    assert sorted(path.name for path in theirs.paths) == sorted(path.name for path in mine.paths)
    assert sorted((tmp_path / "new" / "mine").iterdir()) == mine.paths


def test_a_file_that_is_there_is_replaced_whole(world: Histories, tmp_path: Path) -> None:
    first = world.run("plain").download_history_exports(tmp_path)
    bytes_before = first.paths[0].read_bytes()
    first.paths[0].write_bytes(b"other")
    again = world.run("plain").download_history_exports(str(tmp_path))
    assert again == first
    assert first.paths[0].read_bytes() == bytes_before


@pytest.mark.parametrize("run_id", ["live", "both", "mixed"])
def test_an_incomplete_history_is_refused_or_marked_as_by_the_sdk(
    world: Histories, server: Sandbox, tmp_path: Path, run_id: str
) -> None:
    theirs, mine = world.both(run_id, lambda run: run.download_history_exports(tmp_path / "none"))
    assert mine[0] == theirs[0] == "IncompleteRunHistoryError"
    assert not (tmp_path / "none").exists() or not list((tmp_path / "none").iterdir())
    result = world.run(run_id).download_history_exports(tmp_path / "some", require_complete_history=False)
    assert [path.read_bytes() for path in result.paths] == served(server, run_id)
    assert result.contains_live_data


def test_an_except_for_the_sdks_error_catches_it(world: Histories, tmp_path: Path) -> None:
    from wandb.apis.public.runhistory.downloads import IncompleteRunHistoryError as TheirError

    with pytest.raises(TheirError) as caught:
        world.run("both").download_history_exports(tmp_path)
    assert isinstance(caught.value, IncompleteRunHistoryError)
    assert isinstance(caught.value, NotMirrored)
    assert "18 of its rows are in no export" in str(caught.value)


def test_a_history_without_an_export_is_incomplete_where_the_sdk_calls_it_complete(
    world: Histories, tmp_path: Path
) -> None:
    theirs, mine = world.both("alone", lambda run: run.download_history_exports(tmp_path))
    assert (theirs[0], theirs[1].paths, theirs[1].contains_live_data) == ("value", [], False)
    assert mine[0] == "IncompleteRunHistoryError"
    result = world.run("alone").download_history_exports(tmp_path, require_complete_history=False)
    assert (result.paths, result.contains_live_data) == ([], True)


def test_a_run_that_logged_nothing_has_no_exports_and_nothing_is_missing(world: Histories, tmp_path: Path) -> None:
    result = world.run("empty").download_history_exports(tmp_path)
    assert (result.paths, result.contains_live_data, result.errors) == ([], False, None)


def test_a_damaged_object_is_an_error_of_its_file_and_the_others_are_written(world: Histories, tmp_path: Path) -> None:
    run = world.run("exact")
    (good,) = run.download_history_exports(tmp_path / "a").paths
    (digest,) = [row["object"] for row in world.mirror.ask("SELECT object FROM lake.exports WHERE run_id = 'exact'")]
    path = world.mirror.home.objects / digest[:2] / digest
    content = path.read_bytes()
    path.chmod(0o644)
    try:
        path.write_bytes(content[:-1] + b"?")
        result = run.download_history_exports(tmp_path / "b")
    finally:
        path.write_bytes(content)
        path.chmod(0o444)
    assert result.paths == []
    assert result.errors is not None
    (found,) = result.errors
    assert found == tmp_path / "b" / good.name
    assert not found.exists()


def test_a_target_that_is_a_file_is_an_error(world: Histories, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HomeUnusable):
        world.run("plain").download_history_exports(tmp_path / "file")


def test_no_two_runs_share_a_name_and_none_leaves_the_folder() -> None:
    runs = [
        ("a_b", "c", "r1"), ("a", "b_c", "r1"), ("A", "b_c", "r1"), ("a", "b", "c_r1"), ("a%5Fb", "c", "r1"),
        ("..", "/", ""), ("é", "c\0", "\ud800"), ("e" * 300, "p", "r"), ("e" * 299 + "f", "p", "r"),
        ("a", "b", "C_R1"), ("", "a_b_c", "r1"),
    ]  # fmt: skip
    names = {export_name(RunPath(*run), number).casefold() for run in runs for number in range(2)}
    assert len(names) == 2 * len(runs)
    for name in names:
        assert "/" not in name
        assert len(name.encode()) <= 255
        assert name.endswith(".runhistory.parquet")
