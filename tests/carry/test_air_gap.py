"""What waits in a home without a way is carried to one that has one: whole or not at all, and delivered once."""

from __future__ import annotations

import random
import shutil
import signal
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mirror.carry.archive import finish, reading, writing
from mirror.errors import ConfigError
from mirror.layout import Home
from mirror.records.operations import UploadFile, encode_entry, entry_of_json
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli
from tests.offline.added import held
from tests.offline.conftest import Trained, trained  # noqa: F401 -- a fixture
from tests.replay.trainings import Training
from tests.system.service import serving, wait_for


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A home inside, where work is queued, and what it exported."""

    sandbox: Sandbox
    inside: Cli
    archive: Path
    said: Any  # of the export


@pytest.fixture(scope="module")
def gap(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gap]:  # noqa: F811
    """Offline runs, edits and an upload that wait inside; the server is out of reach there."""
    folder = tmp_path_factory.mktemp("inside")
    with Sandbox.start() as sandbox:
        sandbox.state.add_run("team", "proj", "old", notes="before", state="finished")
        inside = Cli(folder=folder).at(sandbox).configure("team/proj")
        inside("pull", code=0)
        with sandbox.outage():
            inside("add", str(trained.folder / "wandb"), code=0)
            inside("edit", "team/proj/old", "--notes", "after", "--add-tag", "carried", code=0)
            (folder / "model.bin").write_bytes(b"weights" * 100_000)
            inside("upload", "team/proj/old", str(folder / "model.bin"), code=0)
            said = inside("outbox", "export", str(folder / "stick.zip"), "--json", code=0).json
        yield Gap(sandbox=sandbox, inside=inside, archive=folder / "stick.zip", said=said)


@pytest.fixture
def outside(gap: Gap, tmp_path: Path) -> Cli:
    """Another home of the same server, empty."""
    return Cli(folder=tmp_path).at(gap.sandbox).configure("team/proj")


def queued(cli: Cli) -> list[tuple[str, str]]:
    """Ids and kinds of what waits."""
    return [(one["id"], one["kind"]) for one in cli("outbox", "list", "--json", code=0).json]


def test_an_export_leaves_everything_where_it_is_and_says_so(gap: Gap, outside: Cli) -> None:
    entries = queued(gap.inside)
    assert sorted(kind for _, kind in entries) == ["edit", *["sync_run"] * 4, "upload_file"]
    assert (gap.said["entries"], gap.said["runs"], gap.said["missing"]) == (6, 4, [])
    again = gap.archive.with_name("again.zip")
    told = gap.inside("outbox", "export", str(again), code=0)
    assert "6 operations, 4 offline runs among them" in told.out
    assert "they stay here, too" in told.err
    assert again.read_bytes() == gap.archive.read_bytes()
    assert "is there already" in gap.inside.fails(3, "outbox", "export", str(again)).error
    assert "cannot be written" in gap.inside.fails(3, "outbox", "export", str(again.parent / "none" / "x.zip")).error
    assert not list(gap.archive.parent.glob(".tmp-*"))
    assert "nothing waits" in outside.fails(3, "outbox", "export", str(outside.folder / "none.zip")).error


def test_what_is_imported_is_shown_at_once_and_is_what_was_exported(gap: Gap, outside: Cli) -> None:
    with gap.sandbox.outage():
        said = outside("outbox", "import", str(gap.archive), "--json", code=0).json
    assert (said["queued"], said["there"], said["done"]) == (6, 0, 0)
    assert set(said["runs"]) == {"team/proj/first", "team/proj/parts", "team/proj/killed"}
    assert queued(outside) == queued(gap.inside), "under the ids that they had"
    ours, theirs = (held_offline(cli) for cli in (gap.inside, outside))
    for subject, rows in ours.items():
        assert theirs[subject] == rows, subject
    assert not list((outside.home / "partial").glob("carried-*"))
    told = outside("outbox", "import", str(gap.archive), code=0)
    assert told.out.splitlines() == ["0 operations queued, 6 waited here already, 0 delivered or given up before"]
    assert queued(outside) == queued(gap.inside)


def held_offline(cli: Cli) -> Any:
    """What a home has of the runs that were trained offline; when files were written is the machine's."""
    found = held(Home(cli.home), "history")
    del found["queued"]
    for subject, rows in found.items():
        found[subject] = [
            {name: value for name, value in row.items() if not name.startswith("updated_at")}
            for row in rows
            if row.get("run_id") != "old"
        ]
    return found


def test_what_is_imported_is_delivered_once_also_when_both_homes_deliver(gap: Gap, tmp_path: Path) -> None:
    homes = []
    for name in ("outside", "inside"):
        (tmp_path / name).mkdir()
        homes.append(Cli(folder=tmp_path / name).at(gap.sandbox).configure("team/proj"))
    outside, inside = homes
    shutil.rmtree(inside.home)
    shutil.copytree(gap.inside.home, inside.home)
    outside("outbox", "import", str(gap.archive), code=0)
    outside("replay", code=0)
    state = gap.sandbox.state
    first = state.run("team", "proj", "first")
    assert (first.state, len(first.history), first.config["lr"]["value"]) == ("finished", 11, 0.1)
    assert {"end.txt", "output.log", "wandb-summary.json"} < set(first.files)
    assert len(state.run("team", "proj", "parts").history) == 8
    old = state.run("team", "proj", "old")
    assert (old.notes, old.tags) == ("after", ["carried"])
    assert state.bucket.get(old.files["model.bin"].object_key) == b"weights" * 100_000
    counts = {name: len(run.history) for name, run in state.project("team", "proj").runs.items()}
    versions = outside("sql", "SELECT count(*) AS n FROM artifacts", "--json", code=0).json
    inside("replay", code=0)
    assert queued(inside) == []
    assert {name: len(run.history) for name, run in state.project("team", "proj").runs.items()} == counts
    inside("pull", code=0)
    assert inside("sql", "SELECT count(*) AS n FROM artifacts", "--json", code=0).json == versions
    told = outside("outbox", "import", str(gap.archive), code=0)
    assert told.out.splitlines() == ["0 operations queued, 0 waited here already, 6 delivered or given up before"]
    assert queued(outside) == []


def test_an_import_opens_no_file_that_a_log_names_on_its_own_machine(gap: Gap, outside: Cli, tmp_path: Path) -> None:
    training = Training(tmp_path / "training", "stick")
    training.log_artifact("stick", {"a.bin": b"0123"})
    training.finish()
    staged = training.folder / "staging" / "a.bin"
    staged.unlink()
    (tmp_path / "inside").mkdir()
    inside = Cli(folder=tmp_path / "inside").at(gap.sandbox).configure("team/proj")
    inside("add", str(tmp_path / "training"), code=0)
    inside("outbox", "export", str(tmp_path / "stick.zip"), code=0)
    staged.write_bytes(b"0123")
    outside("outbox", "import", str(tmp_path / "stick.zip"), code=0)
    query = "SELECT path, status FROM lake.artifact_files"
    assert outside("sql", query, "--json", code=0).json == [{"path": "a.bin", "status": "failed"}]


def test_a_version_whose_entries_are_in_a_file_is_carried_when_that_file_is_gone(
    gap: Gap, outside: Cli, tmp_path: Path
) -> None:
    training = Training(tmp_path / "training", "large")
    training.log_artifact("large", {"a.bin": b"0123", "deep/b.bin": b"456"}, in_file=True)
    training.finish()
    (tmp_path / "inside").mkdir()
    inside = Cli(folder=tmp_path / "inside").at(gap.sandbox).configure("team/proj")
    inside("add", str(tmp_path / "training"), code=0)
    shutil.rmtree(tmp_path / "training")
    said = inside("outbox", "export", str(tmp_path / "stick.zip"), "--json", code=0).json
    assert said["missing"] == []
    inside("outbox", "export", str(tmp_path / "again.zip"), code=0)
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "stick.zip").read_bytes()
    outside("outbox", "import", str(tmp_path / "stick.zip"), code=0)
    query = "SELECT path, status, size, digest FROM lake.artifact_files ORDER BY path"
    assert outside("sql", query, "--json", code=0).json == inside("sql", query, "--json", code=0).json
    outside("replay", code=0)
    (version,) = gap.sandbox.state.project("team", "proj").collections["large"].versions
    assert (version.state, sorted(version.manifest["contents"])) == ("COMMITTED", ["a.bin", "deep/b.bin"])


def test_a_torn_or_altered_file_is_refused_whole(gap: Gap, outside: Cli) -> None:
    content, path = gap.archive.read_bytes(), outside.folder / "torn.zip"
    chance = random.Random(3)
    for length in (0, 1, 100, len(content) // 2, len(content) - 30, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ConfigError, match="refused whole"), reading(path):
            pass
    with zipfile.ZipFile(gap.archive) as whole:
        starts = [info.header_offset + 60 + len(info.filename) for info in whole.infolist() if info.file_size > 40]
    for at in (*starts, *(chance.randrange(len(content)) for _ in range(20))):
        altered = bytearray(content)
        altered[at] ^= 1 << chance.randrange(8)
        path.write_bytes(altered)
        refused = _refusal(path)
        assert refused is None or "refused whole" in refused or "newer" in refused
        assert refused is not None or at not in starts
    path.write_bytes(content[: len(content) // 2])
    before = sorted(outside.home.rglob("*"))
    assert "torn" in outside.fails(3, "outbox", "import", str(path)).error
    assert sorted(outside.home.rglob("*")) == before
    outside.fails(3, "outbox", "import", str(outside.folder / "none.zip"))
    outside.fails(3, "outbox", "import", str(outside.folder))


def _refusal(path: Path) -> str | None:
    """Why an archive is refused; None where every part of it is whole: ZIP's own dates and attributes may differ."""
    try:
        with reading(path) as archive:
            for name in archive.manifest.members:
                archive.read(name)
    except ConfigError as error:
        return error.message
    return None


@pytest.mark.parametrize("forged", ["id", "log", "file", "object"])
def test_a_forged_archive_writes_nothing_outside_of_the_home(gap: Gap, outside: Cli, forged: str) -> None:
    path, evil = outside.folder / "forged.zip", "../../../climbed-out"
    with reading(gap.archive) as archive, writing(path) as writer:
        manifest = archive.manifest
        runs = [run for run in manifest.runs if run.row.run_id == "first"]
        if forged == "log":
            runs = [msgspec.structs.replace(run, row=msgspec.structs.replace(run.row, log=evil)) for run in runs]
        if forged == "file":
            runs = [msgspec.structs.replace(run, files={evil: next(iter(run.files.values()))}) for run in runs]
        for name in manifest.members:
            content = archive.read(name)
            if forged in ("id", "object") and name.startswith("entries/"):
                entry = entry_of_json(content)
                if forged == "id":
                    entry = msgspec.structs.replace(entry, id=evil)
                elif isinstance(entry.operation, UploadFile):
                    entry = msgspec.structs.replace(
                        entry, operation=msgspec.structs.replace(entry.operation, object=evil)
                    )
                content = encode_entry(entry)
            writer.add_bytes(name, content)
        finish(writer, msgspec.structs.replace(manifest, runs=tuple(runs), members=dict(writer.members)))
    assert "the archive " in outside.fails(3, "outbox", "import", str(path)).error
    assert not list(outside.folder.parent.rglob("*climbed-out*"))


def test_an_archive_for_another_server_is_refused(gap: Gap, outside: Cli) -> None:
    other = outside.using(WANDB_BASE_URL="http://127.0.0.1:9")
    assert "is for" in other.fails(10, "outbox", "import", str(gap.archive)).error


def test_an_import_beside_a_daemon_is_done_by_it(gap: Gap, tmp_path: Path) -> None:
    goes_on = Training(tmp_path / "training", "goes-on")
    goes_on.log(3)
    (tmp_path / "inside").mkdir()
    inside = Cli(folder=tmp_path / "inside").at(gap.sandbox).configure("team/proj")
    inside("add", str(tmp_path / "training"), code=0)
    inside("outbox", "export", str(tmp_path / "grows.zip"), code=0)
    (tmp_path / "daemon").mkdir()
    with serving(tmp_path / "daemon", gap.sandbox) as service:
        service.wait_ready()
        with gap.sandbox.outage():
            said = service.cli("outbox", "import", str(gap.archive), "--json", code=0).json
            assert (said["queued"], said["there"], said["done"]) == (6, 0, 0)
            assert set(said["runs"]) == {"team/proj/first", "team/proj/parts", "team/proj/killed"}
            assert held_offline(service.cli) == held_offline(gap.inside)
            again = service.cli("outbox", "import", str(gap.archive), code=0)
            assert again.out.startswith("0 operations queued, 6 waited here already")
            service.cli("outbox", "import", str(tmp_path / "grows.zip"), code=0)
            wait_for("it is followed", lambda: service.status["offline"]["following"] == 1)
        assert "is not there" in service.cli.fails(3, "outbox", "import", str(tmp_path / "none.zip")).error
        torn = tmp_path / "torn.zip"
        torn.write_bytes(gap.archive.read_bytes()[:-100])
        assert "refused whole" in service.cli.fails(3, "outbox", "import", str(torn)).error
        assert service.stop() == 0


@pytest.mark.crash
@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.soak)])
def test_an_import_that_is_killed_anywhere_is_whole_after_the_next(gap: Gap, outside: Cli, kills: int) -> None:
    chance = random.Random(5)
    for _ in range(kills):
        process = outside.start("outbox", "import", str(gap.archive))
        time.sleep(chance.uniform(0.5, 3.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    outside("outbox", "import", str(gap.archive), code=0)
    assert queued(outside) == queued(gap.inside)
    assert held_offline(outside) == held_offline(gap.inside)
