"""What the tests of `check` share: a home that holds something of everything, flipped bytes, the state of a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import mirror as package
from mirror.check import VerifyReport, verify
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.mirroring import ENGINE, ENTITY, PROJECT, SOURCE, Mirror
from tests.pull.contents import fill, history, mirror_of
from tests.store.maintained import tidy


def rich_home(sandbox: Sandbox, home: Home, folder: Path) -> Mirror:
    """Runs with everything; files by DuckDB and by pyarrow, merged ones, deleted rows; a queued edit and an upload."""
    fill(sandbox, PROJECT)
    mirror = mirror_of(sandbox, home, PROJECT)
    for number in range(3):
        sandbox.state.add_run(ENTITY, PROJECT, f"n{number}", history=history(0, 6), files={"own.bin": b"%d" % number})
        assert not mirror.pull().errors
    tidy(mirror)
    sandbox.state.changed(sandbox.state.run(ENTITY, PROJECT, "r002"), heartbeat=True)
    assert not mirror.pull().errors
    queue(home, folder)
    home.config.write_text(f'[[source]]\npath = "{SOURCE}"\n')
    return mirror


def queue(home: Home, folder: Path) -> None:
    """An edit and an upload that wait."""
    run = package.Api(home).run(f"{SOURCE}/r000")
    run.notes = "wins; see the report"
    run.update()
    (folder / "report.md").write_bytes(b"a report")
    run.upload_file(str(folder / "report.md"), root=str(folder))


def look(home: Home, *, quick: bool = False) -> VerifyReport:
    """One check."""
    return verify(home, ENGINE, quick=quick)


@contextlib.contextmanager
def flipped(path: Path, place: int, bit: int = 0) -> Iterator[None]:
    """One bit of a file is another one for a while."""
    mode, before = path.stat().st_mode, path.read_bytes()
    path.chmod(0o644)
    changed = bytearray(before)
    changed[place] ^= 1 << bit
    path.write_bytes(changed)
    try:
        yield
    finally:
        path.write_bytes(before)
        path.chmod(mode)


def state_of(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Names, times, permissions and bytes of everything below a folder, and of itself."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = os.lstat(path)
        found[str(path)] = status.st_mtime_ns, status.st_mode, path.read_bytes() if path.is_file() else b""
    return found


def files_of(home: Home) -> dict[str, list[Path]]:
    """The files that a byte may flip in, by what they are."""
    named = {
        "objects": [path for path in home.objects.rglob("*") if path.is_file()],
        "tables": list(home.lake_data.rglob("*.parquet")),
        "catalog": [home.catalog],
        "digests": [home.lake_digests],
        "seal": [home.catalog_seal],
        "entries": list((home.outbox / "new").iterdir()),
    }
    assert all(named.values()), named
    return {kind: sorted(paths) for kind, paths in named.items()}
