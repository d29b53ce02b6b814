"""Faults inside one answer: a field that errors while the rest is data, and connections with holes.

They act where the fields are resolved, as a middleware that is there only while such a fault is in force: the
resolvers themselves do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mirror.sandbox.faults.fault import Fault
from mirror.sandbox.state.records import FileRecord, RunRecord
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Info

_CONNECTIONS: Mapping[str, frozenset[str]] = {
    "files": frozenset({"FileConnection"}),
    "artifacts": frozenset({"ArtifactConnection", "InputArtifactConnection", "VersionedArtifactConnection"}),
    "runs": frozenset({"RunConnection"}),
}


class FieldFaults:
    """The field faults of one request, and which of them showed."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._errors = [fault for fault in faults if fault.effect == "field_error"]
        self._nulls = [fault for fault in faults if fault.effect == "null_node"]
        self._holes: list[tuple[list[str | int], Fault]] = []
        self.shown: list[Fault] = []

    def resolve(self, next_one: Callable[..., Any], source: Any, info: Info, **arguments: Any) -> Any:
        """The middleware: raise in place of the field that a fault names; note where edges are that get holes."""
        field = f"{info.parent_type.name}.{info.field_name}"
        for fault in self._errors:
            if fault.field == field and fault.run in (None, _run_name(source)):
                self._note(fault)
                raise RequestRefused(fault.message, status=fault.http_status)
        if info.field_name == "edges":
            for fault in self._nulls:
                if _has_holes(fault, info.parent_type.name):
                    self._holes.append((info.path.as_list(), fault))
        return next_one(source, info, **arguments)

    def punch(self, data: Any) -> None:
        """Put the holes into a finished answer: whatever the schema says, null is what the client gets."""
        for path, fault in self._holes:
            edges = data
            for key in path:
                edges = edges[key] if edges is not None else None
            for i in range(fault.every - 1, len(edges or []), fault.every):
                self._note(fault)
                if fault.connection == "edges":
                    edges[i] = None
                elif edges[i] is not None:
                    edges[i]["node"] = None

    def _note(self, fault: Fault) -> None:
        if fault not in self.shown:
            self.shown.append(fault)


def _has_holes(fault: Fault, type_name: str) -> bool:
    if fault.connection == "edges":
        return any(type_name in names for names in _CONNECTIONS.values())
    return type_name in _CONNECTIONS[fault.connection]


def _run_name(source: Any) -> str | None:
    if isinstance(source, FileRecord):
        source = source.run
    return source.name if isinstance(source, RunRecord) else None
