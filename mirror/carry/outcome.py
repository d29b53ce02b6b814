"""What became of an archive that was imported."""

from __future__ import annotations

import msgspec


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an archive."""

    queued: int  # entries that wait now and did not before
    there: int  # that waited here already
    done: int  # that were delivered from here, or given up
    runs: tuple[str, ...]  # paths of the runs that were taken in, or had more rows than here
