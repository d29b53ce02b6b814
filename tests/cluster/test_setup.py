"""A shared lake is set up, examined, checked and tidied by the commands that a home has."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from mirror.cluster.bucket import Bucket
from mirror.cluster.place import place_of
from mirror.cluster.postgres import connection_text
from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import Reader
from mirror.store.objects.objects import Objects
from tests.cli.conftest import Cli
from tests.cluster.servers import KEY_ID, SECRET, Place
from tests.cluster.test_migrate import fill


@pytest.fixture
def cli(place: Place, sandbox: Sandbox, tmp_path: Path) -> Cli:
    """A user with keys, and nothing else."""
    fill(sandbox)
    keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
    return Cli(folder=tmp_path, env=keys).at(sandbox)


def init(cli: Cli, place: Place, code: int = 0) -> Any:
    return cli(
        "init", "--source", "team/proj", "--catalog", place.catalog, "--data", place.data, "--s3-endpoint",
        place.servers.endpoint, code=code,
    )  # fmt: skip


def test_init_makes_it_doctor_examines_it_and_a_second_machine_joins(cli: Cli, place: Place) -> None:
    init(cli, place)
    said = {check["name"]: check for check in cli("doctor", "--json", code=0).json}
    assert {"catalog", "catalog clock", "bucket", "lease"} <= said.keys()
    assert all(said[name]["outcome"] == "ok" for name in ("catalog", "catalog clock", "bucket", "lease"))
    assert "conditional writes" in said["bucket"]["detail"]
    cli("pull", code=0)
    other = Cli(folder=cli.folder / "other", env=cli.env)
    other.folder.mkdir()
    init(other, place)
    assert cli("runs", "--json", code=0).json == other("runs", "--json", code=0).json
    assert len(other("runs", "--json", code=0).json) == 4
    assert other("history", "team/proj/r1", "--json", code=0).json == cli("history", "team/proj/r1", "--json").json


def test_a_place_that_is_mistyped_is_said_before_anything_is_written(cli: Cli, place: Place) -> None:
    wrong = dataclasses.replace(place, name=f"{place.name}x")
    assert f'database "{wrong.name}" does not exist' in init(cli, wrong, code=8).error
    assert not cli.config.exists()
    init(cli, place)


def test_doctor_says_what_is_wrong_with_either_half(cli: Cli, place: Place) -> None:
    init(cli, place)
    settings = cli.config.read_text()
    cli.config.write_text(settings.replace(f":{place.servers.port}/", ":1/"))
    said = {check["name"]: check for check in cli("doctor", "--json", code=8).json}
    assert said["catalog"]["outcome"] == "failed"
    assert said["bucket"]["outcome"] == "ok"
    cli.config.write_text(settings)
    wrong = cli.using(AWS_SECRET_ACCESS_KEY="wrong")
    said = {check["name"]: check for check in wrong("doctor", "--json", code=8).json}
    assert said["catalog"]["outcome"] == "ok"
    assert "refuses" in said["bucket"]["detail"]


def test_verify_finds_what_is_gone_or_changed_and_repair_brings_it_back(cli: Cli, place: Place) -> None:
    init(cli, place)
    cli("pull", code=0)
    home = Home(cli.home)
    shared = Objects(home).shared
    assert shared is not None
    (digest, _), (gone, _), *_ = shared.listed()
    shared.bucket.put(f"{digest[:2]}/{digest}", b"other bytes")
    shared.bucket.remove([f"{gone[:2]}/{gone}"])
    report = cli("verify", "--json", code=9).json
    assert report["counts"] == {"object_damaged": 1, "object_missing": 1}
    cli("repair", "--yes", code=0)
    cli("pull", code=0)
    copy = shared.copies()[0]
    content = copy.read_bytes()
    copy.chmod(0o600)
    copy.write_bytes(b"rot" + content)
    (finding,) = cli("verify", "--json", code=9).json["findings"]
    assert finding["path"] == f"cache/{copy.parent.name}/{copy.name}"
    copy.unlink()
    assert cli("verify", "--json", code=0).json["sound"]


def test_maintain_removes_what_nothing_needs_and_spares_what_is_young_or_waits(cli: Cli, place: Place) -> None:
    init(cli, place)
    keep = "\n[retention]\nsnapshots_days = 0.000001\nfiles_days = 0.000001\nobjects_days = 0.000001\n"
    cli.config.write_text(cli.config.read_text().replace("[retention]", "") + keep)
    cli("pull", code=0)
    cli("edit", "team/proj/r1", "--add-tag", "new", code=0)
    cli("replay", code=0)
    shared = Objects(Home(cli.home)).shared
    assert shared is not None
    stray = "0" * 64
    shared.bucket.put(f"00/{stray}", b"nobody's")
    settings = place_of(Home(cli.home))
    assert settings is not None
    Bucket(settings.data, settings).put("main/runs/left-by-a-killed-commit.parquet", b"torn")
    file = cli.folder / "waits.bin"
    file.write_bytes(b"waits" * 100)
    cli("upload", "team/proj/r1", str(file), code=0)
    time.sleep(1.1)  # the bucket's times are whole seconds
    done = cli("maintain", "--json", code=0).json
    assert done["objects"]["files"] == 1
    assert done["snapshots_expired"] > 1
    assert done["orphans"]["files"] == 1
    assert cli("verify", "--json", code=0).json["sound"]
    assert stray not in dict(shared.listed())
    assert cli("replay", "--json", code=0).json["applied"] == 1


def test_the_password_comes_from_a_file_and_is_never_shown(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PostgreSQL's own clients find it, or handed over by a service manager."""
    settings = place_of(place.home(tmp_path / "home"))
    assert settings is not None
    (tmp_path / "pgpass").write_text("*:*:*:*:hunter2\n")
    monkeypatch.delenv("PGPASSFILE", raising=False)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    said = connection_text(settings)
    assert f"passfile={tmp_path / 'pgpass'}" in said
    assert "hunter2" not in said
    monkeypatch.setenv("PGPASSFILE", "/another")
    assert "passfile" not in connection_text(settings)


def test_a_service_of_postgresql_names_the_catalog(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = tmp_path / "services.conf"
    services.write_text(f"[lake]\nhost=127.0.0.1\nport={place.servers.port}\nuser=mirror\ndbname={place.name}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    home = place.home(tmp_path / "home", catalog="service=lake")
    with Lake(home, deployment="server"):
        pass
    with Reader(home) as lake:
        assert lake.rows("SELECT count(*) FROM lake.runs") == [(0,)]


def test_without_the_database_status_tells_what_is_here_and_what_is_asked_is_queued(
    cli: Cli, place: Place, sandbox: Sandbox
) -> None:
    init(cli, place)
    cli("pull", code=0)
    settings = cli.config.read_text()
    cli.config.write_text(settings.replace(f":{place.servers.port}/", ":1/"))
    file = cli.folder / "weights.bin"
    file.write_bytes(b"w" * 100)
    cli("upload", "team/proj/r1", str(file), "--root", str(cli.folder), code=0)
    said = cli("status", "--json", code=9).json
    assert [finding["name"] for finding in said["findings"]] == ["lake_away"]
    assert said["outbox"]["new"] == 1
    assert "does not answer" in said["lease"]
    assert "nothing pulled yet" not in cli("status", code=9).out
    sandbox.state.run("team", "proj", "r3").state = "running"
    wishes = ("--add-tag", "x", "--remove-tag", "a", "--notes", "blind", "--remove-config", "lr", "--state", "failed")
    assert "nobody has seen the run" in cli("edit", "team/proj/r3", *wishes, code=0).err
    assert "finished" in cli("edit", "team/proj/r3", "--state", "finished", code=3).error
    cli.config.write_text(settings)
    assert cli("replay", "--json", code=0).json["applied"] == 3
    run = sandbox.state.run("team", "proj", "r3")
    assert (run.notes, run.tags, run.state, "lr" in run.config) == ("blind", ["x"], "failed", False)
