"""The settings of a folder of offline runs, which the daemon takes in by itself. A part of `config`."""

from __future__ import annotations

from pathlib import Path

import msgspec


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
