"""What a server says while a run is brought upstream."""

from __future__ import annotations

import json

import msgspec

from mirror.api.rows.scalars import Int64, int_or_none
from mirror.texts.values import parse_lenient


class WireStatus(msgspec.Struct, rename="camel"):
    """A run's streams, as `Run` tells of them."""

    history_line_count: Int64 = None
    events_line_count: Int64 = None
    log_line_count: Int64 = None
    history_tail: str | None = None
    events_tail: str | None = None


class StreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a server has a run's streams."""

    history_lines: int | None  # rows that were sent to it; None: it does not tell
    event_lines: int | None
    console_lines: int | None
    last_row: str | None  # JSON text of the last row of the history; None: it does not tell
    last_event: str | None  # of the last row of system metrics


def to_status(wire: WireStatus) -> StreamStatus:
    """The same, with what it does not tell as nothing."""
    return StreamStatus(
        history_lines=int_or_none(wire.history_line_count),
        event_lines=int_or_none(wire.events_line_count),
        console_lines=int_or_none(wire.log_line_count),
        last_row=_last(wire.history_tail),
        last_event=_last(wire.events_tail),
    )


def _last(tail: str | None) -> str | None:
    """The last of some lines, which come as a JSON list of texts."""
    lines = parse_lenient(tail)
    if not isinstance(lines, list) or not lines:
        return None
    return lines[-1] if isinstance(lines[-1], str) else json.dumps(lines[-1])


class VersionSlot(msgspec.Struct, rename="camel"):
    """Where bytes of a version go; an address of None: the server has them."""

    name: str = ""
    upload_url: str | None = None
    upload_headers: list[str | None] | None = None


class _Version(msgspec.Struct):
    id: str = ""
    state: str | None = None


class CreatedVersion(msgspec.Struct):
    """Of `createArtifact` and `commitArtifact`."""

    artifact: _Version | None = None


class _Manifest(msgspec.Struct):
    id: str = ""
    file: VersionSlot | None = None


class CreatedManifest(msgspec.Struct, rename="camel"):
    """Of `createArtifactManifest`."""

    artifact_manifest: _Manifest | None = None


class _Edge(msgspec.Struct):
    node: VersionSlot | None = None


class _Edges(msgspec.Struct):
    edges: list[_Edge | None] | None = None


class CreatedVersionFiles(msgspec.Struct):
    """Of `createArtifactFiles`."""

    files: _Edges | None = None

    @property
    def slots(self) -> list[VersionSlot]:
        """In the order of the request."""
        edges = (self.files.edges if self.files is not None else None) or ()
        return [edge.node for edge in edges if edge is not None and edge.node is not None]
