"""What was asked of the sandbox: one frozen record a request, in the order of the answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["graphql", "storage", "file_stream", "files", "other"]
"""graphql; storage = signed URLs; file_stream; files = authenticated file URLs that redirect; other."""


@dataclass(frozen=True, kw_only=True)
class RequestRecord:
    """One request and what came of it."""

    method: str
    path: str  # without the query string, so that no signature is recorded
    kind: Kind
    operation: str | None  # GraphQL operation name
    variables: Mapping[str, Any]
    query: str | None  # GraphQL document
    status: int  # 0: the connection was dropped without an answer
    bytes_in: int
    bytes_out: int  # body bytes as sent, after compression
    authorized: bool  # an Authorization header was present
    host: str  # the Host header
    fault: str | None = None  # name of the fault that shaped the answer
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # of the request, without Authorization


class Recorder:
    """Holds the records. Thread-safe; iterating walks a copy."""

    def __init__(self) -> None:
        self._records: list[RequestRecord] = []
        self._lock = threading.Lock()

    def add(self, record: RequestRecord) -> None:
        with self._lock:
            self._records.append(record)

    def __iter__(self) -> Iterator[RequestRecord]:
        with self._lock:
            return iter(list(self._records))

    def __len__(self) -> int:
        with self._lock:
            return len(self._records)

    def select(
        self, operation: str | None = None, kind: Kind | None = None, path: str | None = None
    ) -> list[RequestRecord]:
        """Records of that operation name, kind and path substring; None matches everything."""
        return [
            record
            for record in self
            if (operation is None or record.operation == operation)
            and (kind is None or record.kind == kind)
            and (path is None or path in record.path)
        ]

    def count(self, operation: str | None = None, kind: Kind | None = None, path: str | None = None) -> int:
        """How many records `select` would give."""
        return len(self.select(operation, kind, path))

    def leaks(self) -> list[RequestRecord]:
        """Storage requests that carried an Authorization header: the key left the base host."""
        return [record for record in self.select(kind="storage") if record.authorized]

    def drain(self) -> list[RequestRecord]:
        """All records, which are then forgotten: a test of many days takes them out as it goes."""
        with self._lock:
            drained, self._records = self._records, []
            return drained

    def clear(self) -> None:
        with self._lock:
            self._records.clear()
