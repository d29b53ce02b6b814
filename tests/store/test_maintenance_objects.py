"""Objects: none goes that a snapshot, an entry of the outbox or somebody who comes meanwhile needs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror.errors import StoreError
from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.records.addresses import RunPath
from mirror.records.operations import UploadFile
from mirror.sandbox import Sandbox
from mirror.store.care.maintenance import maintain
from mirror.store.care.objects import REFERENCES
from mirror.store.engine.lake import Lake
from mirror.store.objects import disk
from mirror.store.objects.disk import disk_use
from mirror.store.objects.objects import Objects
from mirror.store.objects.uploads import take_in
from tests.mirroring import ENGINE, ENTITY, PROJECT, Mirror
from tests.store.maintained import SETTINGS, deployment, later, pull_often, tidy

RUN = RunPath(ENTITY, PROJECT, "n000")


@pytest.fixture
def pulled(sandbox: Sandbox, mirror: Mirror) -> Mirror:
    """A mirror with a run."""
    pull_often(sandbox, mirror, 1)
    return mirror


def put(home: Home, content: bytes) -> str:
    """An object that nothing refers to."""
    objects = Objects(home)
    digest = objects.put_bytes(content)
    objects.sync([digest])
    return digest


def path_of(home: Home, digest: str) -> Path:
    """Where it lies."""
    return home.objects / digest[:2] / digest


def test_every_column_that_names_an_object_is_looked_at(pulled: Mirror) -> None:
    columns = pulled.ask(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'lake'"
        " AND column_name IN ('object', 'manifest')"
    )
    assert {(row["table_name"], row["column_name"]) for row in columns} == set(REFERENCES)


def test_what_nothing_refers_to_goes_when_it_is_old_and_stays_while_it_is_young(pulled: Mirror) -> None:
    old, young = put(pulled.home, b"old"), put(pulled.home, b"young")
    os.utime(path_of(pulled.home, old), (1, 1))
    done = tidy(pulled)
    assert (done.objects.files, done.objects.bytes) == (1, 3)
    assert (path_of(pulled.home, old).exists(), path_of(pulled.home, young).exists()) == (False, True)
    assert tidy(pulled, days=8).objects.files == 1
    assert not path_of(pulled.home, young).exists()


def test_manifests_and_files_of_artifacts_are_referred_to(sandbox: Sandbox, home: Home) -> None:
    mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home, policy={"artifacts_include": ("*",)})
    sandbox.state.add_run(ENTITY, PROJECT, "r")
    sandbox.state.add_artifact(ENTITY, PROJECT, "model", files={"w": b"weights"}, run="r")
    mirror.pull()
    held = {row["object"] for row in mirror.ask("SELECT object FROM lake.artifact_files")}
    held |= {row["manifest"] for row in mirror.ask("SELECT manifest FROM lake.artifacts")}
    assert len(held) == 2
    assert None not in held
    assert tidy(mirror, days=1000).objects.files == 0
    assert all(path_of(home, digest).exists() for digest in held)


def test_what_an_entry_of_the_outbox_uploads_stays_until_the_entry_is_gone(pulled: Mirror, tmp_path: Path) -> None:
    source = tmp_path / "report.md"
    source.write_bytes(b"report")
    taken = take_in(Objects(pulled.home), source)
    outbox = Outbox(pulled.home)
    operation = UploadFile(name="report.md", object=taken.object, size=taken.size, md5=taken.md5)
    entry = outbox.put(RUN, None, operation)
    os.utime(path_of(pulled.home, taken.object), (1, 1))
    assert tidy(pulled, days=1000).objects.files == 0
    assert outbox.claim(entry)
    assert tidy(pulled, days=1000).objects.files == 0
    assert path_of(pulled.home, taken.object).read_bytes() == b"report"
    outbox.finish(entry)
    assert tidy(pulled, days=1000).objects.files == 1


def test_bytes_that_come_anew_while_they_are_about_to_go_stay(pulled: Mirror, tmp_path: Path) -> None:
    """An upload of bytes that lie there since long, which begins after the outbox was looked through."""
    digest = put(pulled.home, b"again")
    os.utime(path_of(pulled.home, digest), (1, 1))
    source = tmp_path / "again"
    source.write_bytes(b"again")

    def needed() -> Iterator[str]:
        assert take_in(Objects(pulled.home), source).object == digest
        yield from ()

    with Lake(pulled.home, deployment=deployment(pulled), settings=ENGINE) as lake:
        assert maintain(lake, SETTINGS, needed=needed, now=later(0)).objects.files == 0
    assert path_of(pulled.home, digest).read_bytes() == b"again"


def test_an_outbox_that_cannot_be_read_stops_it(pulled: Mirror) -> None:
    digest = put(pulled.home, b"old")
    os.utime(path_of(pulled.home, digest), (1, 1))

    def needed() -> Iterator[str]:
        yield digest[::-1]
        raise StoreError("the outbox cannot be read")

    with Lake(pulled.home, deployment=deployment(pulled), settings=ENGINE) as lake, pytest.raises(StoreError):
        maintain(lake, SETTINGS, needed=needed, now=later(100))
    assert path_of(pulled.home, digest).exists()


def test_an_empty_lake_takes_no_object_along(home: Home) -> None:
    """A catalog that was lost and begun anew, beside the objects of years."""
    digest = put(home, b"precious")
    mirror = Mirror(url="http://127.0.0.1:1", api_key="", home=home)
    assert tidy(mirror, days=1000).objects.files == 0
    assert path_of(home, digest).exists()


def test_old_downloads_go_and_young_ones_stay(pulled: Mirror) -> None:
    for name in ("old", "young"):
        (pulled.home.partial / name).write_bytes(b"1234")
    os.utime(pulled.home.partial / "old", (1, 1))
    done = tidy(pulled)
    assert (done.partials.files, done.partials.bytes) == (1, 4)
    assert [path.name for path in pulled.home.partial.iterdir()] == ["young"]


def test_disk_use_is_told_by_kind_and_estimated_when_there_are_many_objects(home: Home) -> None:
    assert disk_use(home) == disk.DiskUse(lake=0, objects=0, partial=0, catalog=0, outbox=0, objects_estimated=False)
    objects = Objects(home)
    digests = [objects.put_bytes(f"{number:05}".encode()) for number in range(3000)]
    objects.sync(digests)
    exact = disk_use(home)
    assert (exact.objects, exact.objects_estimated) == (15_000, False)
    about = disk_use(home, most_counted=1000)
    assert about.objects_estimated
    assert 0.8 < about.objects / exact.objects < 1.2
    assert disk_use(home, most_counted=None) == exact
    home.outbox.mkdir()
    (home.outbox / "entry").write_bytes(b"123")
    assert disk_use(home).outbox == 3
    assert hashlib.sha256(b"00000").hexdigest() in digests
