"""Whether a folder's file system can hold a live catalog: SQLite's WAL needs shared memory, which no network has."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from mirror.errors import HomeUnusable

NETWORK_TYPES = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs",
        "panfs", "wekafs", "orangefs", "pvfs2", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs",
        "fuse.gcsfuse", "fuse.rclone", "fuse.mount-s3", "davfs", "fuse.davfs2",
    }
)  # fmt: skip
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, kw_only=True)
class FileSystem:
    """What holds a folder."""

    mount_point: str
    type: str  # the kernel's name, "unknown" where it does not tell
    free_bytes: int

    @property
    def is_network(self) -> bool:
        """Whether other machines may mount it at the same time."""
        return self.type in NETWORK_TYPES


def file_system_of(folder: Path, mounts: str | None = None) -> FileSystem:
    """Find what a folder lives on.

    Args:
        folder: it need not exist yet; its nearest existing parent counts.
        mounts: text in the form of `/proc/self/mounts`; read from the system when None.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
        except OSError:  # not Linux: nothing is known, so nothing is refused
            mounts = ""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    real = os.path.realpath(existing)
    best, kind = "/", "unknown"
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[1])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return FileSystem(mount_point=best, type=kind, free_bytes=shutil.disk_usage(existing).free)


def check_can_hold_lake(folder: Path, mounts: str | None = None) -> None:
    """Refuse a folder on a network file system.

    Raises:
        HomeUnusable: with the file system's type and what to do.
    """
    system = file_system_of(folder, mounts)
    if system.is_network:
        raise HomeUnusable(
            f"{folder} is on a network file system ({system.type} at {system.mount_point}), "
            "which cannot share the catalog safely",
            hint="choose a home on a local disk (--home or WANDB_MIRROR_HOME), such as the node's scratch",
        )
