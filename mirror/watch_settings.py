"""The settings of folders that the daemon watches: of files that go into runs, and of runs that train without a server.

A part of `config`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import msgspec

GLOB_MARKS = "*?["
# Hidden files are those of git, of editors, of file systems and of copies under way; the rest are half-written files.
DEFAULT_IGNORE = (".*", "*~", "#*#", "*.tmp", "*.part", "*.partial", "*.lock", "__pycache__")

Seconds = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


class WatchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One folder whose new and changed files the daemon uploads, and the run that gets them."""

    folder: str  # full path; `~` is the daemon's user. It need not exist yet
    run: str  # id of the run; a glob such as `*`: each folder in `folder` whose name it matches is that run's
    project: str = ""  # of the run; needed where the source's path holds a glob
    prefix: str = ""  # put before the names in the run, with a slash between
    ignore: tuple[str, ...] = DEFAULT_IGNORE  # globs over the path below `folder` and over each tail of it
    stable_s: Seconds = 10.0  # so long a file must have stayed as it is
    growing_minutes: Seconds = 10.0  # a file that never does is uploaded as it is, so often at most

    def __post_init__(self) -> None:
        """Check each value by itself."""
        if not (self.folder.startswith("~") or Path(self.folder).is_absolute()) or "\0" in self.folder:
            raise ValueError(f"a watch folder is a full path, such as /data/runs or ~/runs; got {self.folder!r}")
        if not _is_name(self.run):
            raise ValueError(f"run is the id of a run, or a glob over names of folders such as '*'; got {self.run!r}")
        if self.project and (not _is_name(self.project) or any(mark in self.project for mark in GLOB_MARKS)):
            raise ValueError(f"project is the plain name of one project; got {self.project!r}")
        parts = self.prefix.split("/") if self.prefix else []
        if any(part in {"", ".", ".."} for part in parts) or not self.prefix.isprintable():
            raise ValueError(f"prefix is a path inside the run, such as checkpoints; got {self.prefix!r}")
        if wrong := [glob for glob in self.ignore if not glob.strip("/") or glob.startswith("/")]:
            raise ValueError(f"ignore holds globs over paths below the folder, such as '*.tmp'; got {wrong[0]!r}")

    @property
    def is_of_folders(self) -> bool:
        """Whether each run has a folder of its own in it."""
        return any(mark in self.run for mark in GLOB_MARKS)


def project_of_watch(watch: WatchSettings, source_project: str) -> str:
    """The project that the runs of a watch are in.

    Args:
        watch: the settings.
        source_project: as the source has it; may hold a glob.

    Raises:
        ValueError: it is not known, or is none of the source's.
    """
    project = watch.project or source_project
    if any(mark in project for mark in GLOB_MARKS):
        raise ValueError(f"the source names many projects ({source_project}), so a watch must name its project")
    if not fnmatchcase(project, source_project):
        raise ValueError(f"project {project!r} of a watch is none of the source's ({source_project})")
    return project


def _is_name(text: str) -> bool:
    return bool(text) and text == text.strip() and "/" not in text and text.isprintable() and text not in {".", ".."}


class OfflineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder below which W&B's SDK keeps runs that it trains offline."""

    folder: str  # full path; `~` is the daemon's user. It need not exist yet
    entity: str = ""  # of the runs, in place of the one that they name
    project: str = ""  # of the runs, in place of the one that they name
    online: bool = False  # also runs that have a server while they train
    synced: bool = False  # also runs that `wandb sync` is done with

    def __post_init__(self) -> None:
        """Check each value by itself."""
        if not (self.folder.startswith("~") or Path(self.folder).is_absolute()) or "\0" in self.folder:
            raise ValueError(f"a folder of offline runs is a full path, such as /data/runs; got {self.folder!r}")
        for name in ("entity", "project"):
            value = getattr(self, name)
            if value != value.strip() or not value.isprintable() or "/" in value:
                raise ValueError(f"{name} is the plain name of one {name}; got {value!r}")
