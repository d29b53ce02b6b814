"""A home is its owner's alone, made from the command line or from Python; what older versions left open is closed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.store.engine.connection import new_engine
from mirror.store.engine.lake import Lake
from mirror.store_settings import StoreSettings
from tests.cli.conftest import Cli

RUN = "team/proj/r1"


@pytest.fixture
def served(cli: Cli) -> Iterator[Cli]:
    """A machine whose users' files are open to all, as they are by default, and a server."""
    before = os.umask(0o022)
    with Sandbox.start() as sandbox:
        sandbox.state.add_run("team", "proj", "r1", files={"a.txt": b"1"}, history=[{"_step": 0, "x": 1.5}])
        yield cli.at(sandbox)
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """What below a folder others might read, and the folder itself."""
    paths = [folder, *folder.rglob("*")]
    return [str(path.relative_to(folder)) for path in paths if path.lstat().st_mode & 0o077]


def test_every_file_of_a_home_is_its_owners_alone(served: Cli, tmp_path: Path) -> None:
    upload = tmp_path / "mine.txt"
    upload.write_text("mine")
    served("init", "--source", "team/proj", code=0)
    served("pull", code=0)
    served("edit", RUN, "--notes", "secret", code=0)
    served("upload", RUN, str(upload), code=0)
    assert open_to_others(served.home) == []
    served("replay", code=0)
    served("maintain", code=0)
    assert open_to_others(served.home) == []


def test_what_python_queues_is_private_as_well(served: Cli) -> None:
    served("init", "--source", "team/proj", code=0)
    served("pull", code=0)
    code = f"import mirror; run = mirror.Api().run({RUN!r}); run.notes = 'secret'; run.update()"
    subprocess.run([sys.executable, "-c", code], env=served.environment(), check=True, timeout=60)
    assert open_to_others(served.home / "outbox") == []


def test_an_open_home_of_an_earlier_version_is_named_and_closed(served: Cli) -> None:
    served("init", "--source", "team/proj", code=0)
    served("pull", code=0)
    served.home.chmod(0o755)
    (served.home / "lake").chmod(0o755)
    (served.home / "lake" / "catalog.sqlite").chmod(0o644)
    assert "is open to other users" in served("doctor").out
    served("pull", code=0)
    assert open_to_others(served.home) == []
    served.home.chmod(0o755)
    assert "yours alone now" in served("init", "--source", "team/proj", code=0).err
    assert "is open to other users" not in served("doctor").out


def test_files_that_a_user_asks_for_are_as_open_as_he_has_it(served: Cli, tmp_path: Path) -> None:
    served("init", "--source", "team/proj", code=0)
    served("pull", code=0)
    served("checkout", RUN, "out", code=0)
    served("sql", "SELECT 1", "--output", "one.parquet", code=0)
    served("show", RUN, "--html", "run.html", code=0)
    for name in ("out/a.txt", "one.parquet", "run.html"):
        assert stat.S_IMODE((served.folder / name).stat().st_mode) & 0o044 == 0o044, name


def test_what_does_not_fit_in_memory_goes_where_nobody_else_can_look(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    home.root.mkdir(0o700)
    dead = home.root / f".spill-{2**22 + 1}-{'0' * 16}"  # no process has this number
    alive = home.root / f".spill-{os.getpid()}-{'0' * 16}"
    for folder in (dead, alive):
        folder.mkdir()
    with Lake(home, deployment="d", settings=StoreSettings(threads=1)):
        assert not dead.exists()
        assert alive.exists()
    engines = [new_engine(StoreSettings(threads=1), where) for where in (home, None)]
    (inside,), (outside,) = (
        engine.execute("SELECT current_setting('temp_directory')").fetchall()[0] for engine in engines
    )
    assert Path(inside).parent == home.root
    assert stat.S_IMODE(Path(outside).stat().st_mode) == 0o700
    assert len({inside, outside, str(alive)}) == 3
    for engine in engines:
        engine.close()
