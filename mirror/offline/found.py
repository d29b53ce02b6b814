"""Which logs there are under the folders that a person names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from mirror.errors import ConfigError

SUFFIX = ".wandb"
SYNCED = ".synced"  # what `wandb sync` puts behind the name of a log that it is done with
_OF_ONE_RUN = ("offline-run-", "run-")  # how the SDK names a folder in which there is nothing more to find
DEEPEST = 12  # folders below one that is named


class FoundLog(msgspec.Struct, frozen=True, kw_only=True):
    """A log of the SDK's."""

    path: Path  # real, absolute
    is_online: bool  # of a run that had a server while it trained: the server has most of it
    is_synced: bool  # `wandb sync` says that it is upstream
    # Where files are now that the log names by paths of another machine; None: where it names them.
    moved: Mapping[str, str] | None = None

    @property
    def files(self) -> Path:
        """The folder of what the run saved."""
        return self.path.parent / "files"


def find_logs(paths: Sequence[str | os.PathLike[str]], home: Path | None = None) -> Iterator[FoundLog]:
    """The logs in files and folders, each once, however many names lead to it.

    Args:
        paths: a log, the folder of a run, or any folder above; in folders, links are followed to logs and not further.
        home: the mirror's own folder, whose copies are not found below another.

    Raises:
        ConfigError: a path is not there, or is no log.
    """
    seen: set[Path] = set()
    own = None if home is None else home.resolve()
    for named in paths:
        path = Path(named).expanduser()
        if path.is_dir():
            logs: Iterator[Path] = _below(path, 0, own)
        elif path.suffix == SUFFIX and path.is_file():
            logs = iter((path,))
        elif path.exists():
            raise ConfigError(f"{path} is no log of W&B's", hint=f"name a folder, or a file that ends in {SUFFIX}")
        else:
            raise ConfigError(f"{path} is not there", hint="name the folder that holds `wandb/offline-run-…`")
        for log in logs:
            real = log.resolve()
            if real not in seen:
                seen.add(real)
                yield _found(real)


def _found(path: Path) -> FoundLog:
    name = path.parent.name
    return FoundLog(path=path, is_online=name.startswith("run-"), is_synced=path.with_name(path.name + SYNCED).exists())


def _below(folder: Path, depth: int, own: Path | None) -> Iterator[Path]:
    """The logs in a folder, else those further below; a folder that cannot be read has none."""
    try:
        with os.scandir(folder) as entries:
            there = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    logs = [Path(entry.path) for entry in there if entry.name.endswith(SUFFIX) and entry.is_file()]
    yield from logs
    if (logs and folder.name.startswith(_OF_ONE_RUN)) or depth == DEEPEST:
        return
    for entry in there:
        if entry.is_dir(follow_symlinks=False):
            if own is None or entry.name != own.name or Path(entry.path).resolve() != own:
                yield from _below(Path(entry.path), depth + 1, own)
        elif entry.is_symlink() and entry.is_dir():
            yield from (Path(inner) for inner in sorted(Path(entry.path).glob(f"*{SUFFIX}")))
