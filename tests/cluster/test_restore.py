"""A shared lake is restored to a point in time: the catalog of then, and a bucket that lost nothing since."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import mirror as wandb_mirror
from mirror.check import verify
from mirror.cluster.bucket import Bucket
from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.store.engine.connection import plan_lightly
from mirror.store.schema.views import VIEWS
from mirror.store.sql.statements import connect
from mirror.store_settings import StoreSettings
from tests.cluster.servers import Place, need, postgres_folder
from tests.mirroring import ENGINE, Mirror
from tests.store.maintained import tidy


def test_a_catalog_of_then_with_a_later_bucket_is_the_lake_of_then(
    sandbox: Sandbox, mirror: Mirror, place: Place, tmp_path: Path
) -> None:
    sandbox.state.add_project("team", "proj")
    for number in range(2):
        add(sandbox, number)
    mirror.pull()
    then, dump = everything(mirror.home), dumped(place, tmp_path / "catalog.dump")

    add(sandbox, 2)
    sandbox.state.delete_run("team", "proj", "r0")
    mirror.pull(force_walk=True)
    tidy(mirror)  # merges files and forgets states; `files_days` spares what they were made of
    restored = restore(place, dump)
    home = restored.home(tmp_path / "restored")
    assert everything(mirror.home) != then
    assert everything(home) == then
    run = wandb_mirror.Api(home=str(home.root)).run("team/proj/r0")
    with run.file("model.pt").download(str(tmp_path / "files")) as file:
        assert Path(file.name).read_bytes() == b"weights 0"

    goes_on = Mirror(url=mirror.url, api_key=mirror.api_key, home=home, is_fresh=True)
    assert not any(report.failed for report in goes_on.pull(force_walk=True).projects)
    assert runs_of(home) == runs_of(mirror.home)
    found = verify(home, ENGINE)
    assert (found.is_sound, found.findings) == (True, ())


def add(sandbox: Sandbox, number: int) -> None:
    sandbox.state.add_run(
        "team", "proj", f"r{number}", config={"lr": number}, state="finished",
        history=[{"_step": at, "loss": 1 / (at + 1)} for at in range(9)],
        files={"model.pt": f"weights {number}".encode()},
    )  # fmt: skip


def everything(home: Home) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all views, as texts."""
    with connect(home, settings=ENGINE) as engine:
        engine.execute("BEGIN")
        plan_lightly(engine)
        return {name: engine.execute(f"SELECT r::VARCHAR FROM {name} r ORDER BY ALL").fetchall() for name in VIEWS}


def runs_of(home: Home) -> list[tuple[Any, ...]]:
    with connect(home, settings=ENGINE) as engine:
        query = "SELECT run_id, config::VARCHAR, gone_at IS NULL FROM runs ORDER BY ALL"
        return engine.execute(query).fetchall()


def dumped(place: Place, target: Path) -> Path:
    """The catalog as it is now."""
    run_program("pg_dump", place, "--format=custom", f"--file={target}", place.name)
    return target


def restore(place: Place, dump: Path) -> Place:
    """A new database from the dump, and a new bucket from what the old one holds now."""
    restored = place.servers.place()
    run_program("pg_restore", place, f"--dbname={restored.name}", "--exit-on-error", str(dump))
    source, target = (
        Bucket(one.data, StoreSettings(catalog=one.catalog, data=one.data, s3_endpoint=one.servers.endpoint))
        for one in (place, restored)
    )
    for name, _ in source.listed():
        content = io.BytesIO()
        assert source.get_into(name, content)
        target.put(name, content.getvalue())
    return restored


def run_program(name: str, place: Place, *arguments: str) -> None:
    program = shutil.which(name) or shutil.which(name, path=postgres_folder())
    need(name, program, how="apt-get install postgresql-client")
    assert program is not None
    where = ("--host=127.0.0.1", f"--port={place.servers.port}", "--username=mirror")
    subprocess.run([program, *where, *arguments], check=True, timeout=60)
