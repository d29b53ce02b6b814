"""A home moves into PostgreSQL and a bucket, and back: compared before the switch, and resumed where it was cut off."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from mirror.check.moving import keep_as_copies
from mirror.errors import Refused, StoreError
from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.store.care import moving
from mirror.store.engine.lake import Lake
from mirror.store.engine.storages import storage_of
from mirror.store.objects.objects import Objects
from mirror.store.objects.uploads import take_in
from mirror.store.sql.statements import connect, run_sql
from tests.cli.conftest import Cli
from tests.cluster.servers import KEY_ID, SECRET, Place
from tests.mirroring import Mirror

TABLES = ("runs", "metrics", "files", "projects", "system_metrics", "console_lines", "receipts", "exports", "sources")


def state_of(home: Home) -> dict[str, list[Any]]:
    """All rows of the tables that matter."""
    engine = connect(home)
    try:
        return {
            table: sorted(map(repr, run_sql(engine, f"SELECT * FROM lake.{table}", ()).plain_rows()))
            for table in TABLES
        }
    finally:
        engine.close()


def fill(sandbox: Sandbox) -> None:
    state = sandbox.state
    for number in range(4):
        run_id = f"r{number}"
        state.add_run("team", "proj", run_id, state="finished", config={"lr": 0.1 * number}, tags=["a"])
        state.log_rows("team", "proj", run_id, [{"loss": 1 / (step + 1), "nan": float("nan")} for step in range(50)])
        state.log_console("team", "proj", run_id, ["hello", "world"])
        state.add_file("team", "proj", run_id, "model.pt", bytes([number]) * 5000)


@pytest.fixture
def cli(place: Place, sandbox: Sandbox, tmp_path: Path) -> Cli:
    """A home of its own, with everything pulled."""
    fill(sandbox)
    keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
    cli = Cli(folder=tmp_path, env=keys).at(sandbox).configure("team/proj", more='# [store] of "old" days\n')
    cli("pull", code=0)
    return cli


def up(cli: Cli, place: Place, code: int = 0) -> Any:
    options = ["--data", place.data, "--s3-endpoint", place.servers.endpoint]
    return cli("migrate", "--to", place.catalog, *options, code=code)


def test_a_home_moves_up_and_back_and_says_the_same_everywhere(cli: Cli, place: Place, sandbox: Sandbox) -> None:
    home = Home(cli.home)
    before = state_of(home)
    waits = cli.folder / "waits.bin"
    waits.write_bytes(b"waits" * 100)
    cli("upload", "team/proj/r0", str(waits), code=0)
    assert "copied" in up(cli, place).out
    assert '# [store] of "old" days' in cli.config.read_text()
    shutil.rmtree(home.lake)  # as the command says that one may
    assert state_of(home) == before
    shutil.rmtree(home.cache)
    assert [path.read_bytes() for path in home.objects.rglob("*") if path.is_file()] == [waits.read_bytes()]
    cli("replay", code=0)
    assert sandbox.state.run("team", "proj", "r0").files["waits.bin"].size == 500
    target = cli.folder / "out"
    cli("checkout", "team/proj/r3", str(target), code=0)
    assert (target / "model.pt").read_bytes() == bytes([3]) * 5000
    assert cli("verify", "--json", code=0).json["sound"]
    sandbox.state.add_run("team", "proj", "later", state="finished")
    cli("pull", code=0)
    assert up(cli, place).out == "the lake is there already\n"

    cli("migrate", "--to", "home", code=0)
    assert "postgresql" not in cli.config.read_text()
    assert cli("verify", "--json", code=0).json["sound"]
    assert len(state_of(home)["runs"]) == 5
    back = cli.folder / "back"
    cli("checkout", "team/proj/r3", str(back), code=0)
    assert (back / "model.pt").read_bytes() == bytes([3]) * 5000


def test_a_move_that_was_cut_off_goes_on_and_switches_nothing_before_its_end(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(cli.home)
    before, settings = state_of(home), cli.config.read_text()
    damaged = next(path for path in sorted(home.objects.rglob("*")) if path.is_file())
    content = damaged.read_bytes()
    damaged.chmod(0o600)
    damaged.write_bytes(b"x" + content[1:])
    outcome = up(cli, place, code=8)
    assert "is damaged" in outcome.error
    assert cli.config.read_text() == settings
    assert state_of(home) == before
    damaged.write_bytes(content)
    said = up(cli, place).out
    assert "; 0 were copied" in said
    assert state_of(home) == before


def test_rows_that_are_others_after_they_were_copied_end_the_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = Home(tmp_path / "source"), Home(tmp_path / "target")
    with Lake(source, deployment="server") as lake, lake.transaction() as engine:
        engine.execute("INSERT INTO lake.meta VALUES ('one', 'x'), ('two', 'y')")
    with Lake(target, deployment="server") as lake, monkeypatch.context() as losing:
        losing.setattr(moving, "_copy", lambda engine, _: engine.execute("DELETE FROM lake.meta WHERE key = 'one'"))
        with pytest.raises(StoreError, match="meta is another after it was copied"):
            moving.move_rows(lake, storage_of(source))
    with Lake(target, deployment="server") as lake:
        assert moving.move_rows(lake, storage_of(source)).copied == 1
        assert ("two", "y") in lake.rows("SELECT key, value FROM lake.meta")


def options_with(place: Place, name: str, value: str) -> list[str]:
    """The options of a place, one of them another."""
    said = {"--data": place.data, "--s3-endpoint": place.servers.endpoint, name: value}
    return [part for pair in said.items() for part in pair]


def test_what_cannot_be_moved_is_said_in_one_line(cli: Cli, place: Place) -> None:
    assert "catalog and data go together" in cli("migrate", "--to", place.catalog, code=3).error
    wrong = ["--data", "s3://nowhere/lake", "--s3-endpoint", place.servers.endpoint]
    assert "there is no bucket nowhere" in cli("migrate", "--to", place.catalog, *wrong, code=8).error
    assert 'is "s3://BUCKET/PREFIX"' in cli("migrate", "--to", place.catalog, "--data", "/nfs", code=3).error
    for name, given in (("--data", "s3://KEY:hunter2@bucket/lake"), ("--s3-endpoint", "https://KEY:hunter2@host")):
        outcome = cli("migrate", "--to", place.catalog, *options_with(place, name, given), code=3)
        assert "hunter2" not in outcome.err + outcome.out
    secret = place.catalog.replace("mirror@", "mirror:hunter2@")
    outcome = cli("migrate", "--to", secret, "--data", place.data, code=3)
    assert "holds a password" in outcome.error
    assert "hunter2" not in outcome.err
    options = ["--data", place.data, "--s3-endpoint", place.servers.endpoint]
    gone = cli("migrate", "--to", "postgresql://mirror@127.0.0.1:1/lake", *options, code=8)
    assert "does not answer" in gone.error


def test_a_lake_that_was_moved_up_holds_what_the_server_has_next_time(cli: Cli, place: Place, sandbox: Sandbox) -> None:
    """Another machine pulls on from where the home was."""
    up(cli, place)
    other = place.home(cli.folder / "other")
    sandbox.state.add_run("team", "proj", "new", state="finished")
    mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=other, is_fresh=True)
    report = dataclasses.replace(mirror).pull()
    (project,) = report.projects
    assert project.written == 1
    assert len(state_of(Home(cli.home))["runs"]) == 5


def test_a_move_replaces_nothing_that_a_group_has(cli: Cli, place: Place, sandbox: Sandbox, tmp_path: Path) -> None:
    group = place.home(tmp_path / "group")
    Mirror(url=sandbox.url, api_key=sandbox.api_key, home=group, is_fresh=True).pull()
    sandbox.state.add_run("team", "proj", "of the group", state="finished")
    Mirror(url=sandbox.url, api_key=sandbox.api_key, home=group, is_fresh=True).pull()
    before, settings = state_of(group), cli.config.read_text()
    outcome = up(cli, place, code=Refused.exit_code)
    assert "holds other rows already" in outcome.error
    assert "empty place" in outcome.hint
    assert cli.config.read_text() == settings
    assert state_of(group) == before


def test_nobody_writes_a_lake_that_is_half_moved(cli: Cli, place: Place, sandbox: Sandbox, tmp_path: Path) -> None:
    """What they wrote the rest of the move would replace."""
    home = Home(cli.home)
    damaged = next(path for path in sorted(home.objects.rglob("*")) if path.is_file())
    content = damaged.read_bytes()
    damaged.chmod(0o600)
    damaged.write_bytes(b"x" + content[1:])
    up(cli, place, code=8)
    other = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=place.home(tmp_path / "other"), is_fresh=True)
    with pytest.raises(StoreError, match="is being moved here"):
        other.pull()
    damaged.write_bytes(content)
    up(cli, place)
    other.pull()
    assert len(state_of(home)["runs"]) == 4


def test_an_upload_that_is_queued_while_a_lake_moves_up_keeps_its_bytes(
    cli: Cli, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in no bucket yet, so that they are no copy that may go."""
    up(cli, place)
    home = Home(cli.home)
    file = tmp_path / "late.bin"
    file.write_bytes(b"late")
    taken = take_in(Objects(home), file)
    keep_as_copies(home)
    shutil.rmtree(home.cache)
    assert Objects(home).path(taken.object).read_bytes() == b"late"
