"""What a run contains: the bytes of a node become values.

Each part of it stands alone: a list of files that lies about its types costs the files, and never the history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import msgspec

from mirror.api.answers import one_line
from mirror.api.artifact_rows import WireArtifacts, artifacts_page
from mirror.api.contents import ArtifactsPage, FilesPage, ListedFile, LogPage, RunContents, RunStreams
from mirror.api.flaws import decode_flawed
from mirror.api.pages import BadRun
from mirror.api.rows import names_of
from mirror.api.scalars import NULL, Int64, NonEmpty, int_or_none, is_null, to_int
from mirror.api.signed_url import SignedUrl
from mirror.api.times import time_or_none
from mirror.api.wire import WirePageInfo, cursor_text
from mirror.records.console import ConsoleLine
from mirror.typed import decode

_T = TypeVar("_T")


class _File(msgspec.Struct, rename="camel"):
    name: str
    id: str | None = None
    size_bytes: Int64 = None
    md5: str | None = None
    mimetype: str | None = None
    updated_at: str | None = None
    direct_url: str | None = None
    url: str | None = None

    def listed(self) -> ListedFile:
        size = int_or_none(self.size_bytes)
        return ListedFile(
            name=self.name,
            file_id=self.id,
            size=size if size is not None and size >= 0 else None,  # what makes no sense says nothing
            md5=self.md5 or None,
            mimetype=self.mimetype,
            updated_at=time_or_none(self.updated_at),
            updated_at_text=self.updated_at,
            url=SignedUrl(self.direct_url or self.url or ""),
        )


class _FileEdge(msgspec.Struct):
    node: msgspec.Raw = NULL
    cursor: str | None = None


class WireFiles(msgspec.Struct, rename="camel"):
    """One page of files."""

    edges: list[_FileEdge | None] | None = None
    page_info: WirePageInfo | None = None

    def page(self, first: int) -> FilesPage:
        """As a value. The SDK continues from the last edge's cursor (W&B API notes, section 7).

        Args:
            first: files that were asked for.

        Raises:
            ValueError: it promises more, but gives no place to continue from.
        """
        edges = [edge for edge in self.edges or () if edge is not None]
        files: list[ListedFile] = []
        unreadable = len(self.edges or ()) - len(edges)
        for edge in edges:
            try:
                files.append(decode_flawed(edge.node, _File)[0].listed())
            except (ValueError, RecursionError):
                unreadable += 1
        after = (edges[-1].cursor if edges else None) or cursor_text(
            self.page_info.end_cursor if self.page_info else None
        )
        return FilesPage(
            files=tuple(files),
            after=after,
            has_more=goes_on(self.page_info, after, rows=len(self.edges or ()), first=first),
            unreadable=unreadable,
        )


class _Export(msgspec.Struct, rename="camel"):
    parquet_urls: list[str | None] | None = None
    live_data: list[dict[str, object] | None] | None = None


class _Contents(msgspec.Struct, rename="camel"):
    name: NonEmpty
    id: str = ""
    files: msgspec.Raw = NULL
    parquet_history: msgspec.Raw = NULL
    logged_artifacts: msgspec.Raw = NULL
    used_artifacts: msgspec.Raw = NULL
    file_count: Int64 = None
    events_line_count: Int64 = None
    log_line_count: Int64 = None


class _Line(msgspec.Struct):
    number: int | float
    timestamp: str | None = None
    level: str | None = None
    label: str | None = None
    line: str | None = None


class _LineEdge(msgspec.Struct):
    node: msgspec.Raw = NULL


class WireLog(msgspec.Struct, rename="camel"):
    """One page of console lines."""

    edges: list[_LineEdge | None] | None = None
    page_info: WirePageInfo | None = None


class WireStreams(msgspec.Struct, rename="camel"):
    """What was asked of a run's streams; what was not asked is not there."""

    id: str = ""
    name: str = ""
    events: list[str | None] | None = None
    history: list[str | None] | None = None
    log_lines: WireLog | None = None
    log_tail: WireLog | None = None
    log_line_count: Int64 = None


# The server's fields, and what each is part of.
_STREAMS = {
    "events": "system metrics",
    "history": "history",
    "logLines": "console",
    "logTail": "console",
}


def goes_on(page_info: WirePageInfo | None, after: str | None, *, rows: int, first: int) -> bool:
    """Whether a list continues; where the server does not tell, a page as long as asked for is not the last.

    Raises:
        ValueError: it promises more, but gives no place to continue from: a walk along it would never end.
    """
    told = page_info.has_next_page if page_info is not None else None
    more = rows >= first if told is None else told
    if more and not (after and rows):
        raise ValueError("a list promises more but gives no place to continue from")
    return more


def to_contents(
    node: msgspec.Raw | bytes,
    *,
    files_first: int,
    artifacts_first: int,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> RunContents:
    """The contents of a run, from a node that the fragment `RunContents` asked for.

    Args:
        node: the bytes of one run.
        files_first: files that were asked for.
        artifacts_first: artifacts that were asked for, each way.
        failed: fields that the server could not serve, with its words.

    Raises:
        ValueError: it is no run.
    """
    wire, _ = decode_flawed(node, _Contents)
    found = _Parts(failed)
    files = found.part("files", wire.files, lambda raw: decode(raw, WireFiles).page(files_first)) or FilesPage.empty()
    export = found.part("history", wire.parquet_history, lambda raw: decode(raw, _Export), field="parquetHistory")
    live = [row for row in (export.live_data if export else None) or () if row is not None]

    def artifacts(raw: msgspec.Raw) -> ArtifactsPage:
        return artifacts_page(decode(raw, WireArtifacts), artifacts_first)

    logged = found.part("artifacts", wire.logged_artifacts, artifacts, field="loggedArtifacts")
    used = found.part("artifacts", wire.used_artifacts, artifacts, field="usedArtifacts")
    return RunContents(
        run_id=wire.name,
        storage_id=wire.id,
        files=files.files,
        files_after=files.after,
        has_more_files=files.has_more,
        unreadable_files=files.unreadable,
        file_count=int_or_none(wire.file_count),
        export_urls=tuple(SignedUrl(url) for url in (export.parquet_urls if export else None) or () if url),
        live_steps=tuple(step for row in live if (step := _whole(row.get("_step"))) is not None),
        has_live_rows=bool(live),
        events_line_count=int_or_none(wire.events_line_count),
        log_line_count=int_or_none(wire.log_line_count),
        logged=logged or ArtifactsPage.empty(),
        used=used or ArtifactsPage.empty(),
        failed=found.reasons,
    )


class _Parts:
    """Reads the parts of a node, each for itself."""

    def __init__(self, failed: Mapping[str, str]) -> None:
        self._failed = failed
        self.reasons: dict[str, str] = {}  # by part

    def part(
        self, name: str, raw: msgspec.Raw, read: Callable[[msgspec.Raw], _T], *, field: str | None = None
    ) -> _T | None:
        """One part; None when it is not there, or cannot be read, which is noted under its name."""
        if (reason := self._failed.get(field or name)) is not None:
            self.reasons[name] = reason
        elif not is_null(raw):
            try:
                return read(raw)
            except (ValueError, RecursionError) as error:
                self.reasons[name] = one_line(f"the server's answer for it: {error}")
        return None


def to_contents_or_bad(
    node: msgspec.Raw | bytes,
    *,
    files_first: int,
    artifacts_first: int,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> RunContents | BadRun:
    """`to_contents`, with a named reason in place of an exception."""

    def read(node: msgspec.Raw | bytes) -> RunContents:
        return to_contents(node, files_first=files_first, artifacts_first=artifacts_first, failed=failed)

    return _or_bad(read, node, "this run's contents")


def to_streams_or_bad(
    node: msgspec.Raw | bytes,
    *,
    with_log: bool,
    log_after: str | None,
    is_tail: bool,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> RunStreams | BadRun:
    """What was asked of a run's streams.

    Args:
        node: the bytes of one run.
        with_log: whether console lines were asked for; a run that never wrote any gives null.
        log_after: the cursor that they were asked behind.
        is_tail: the newest ones were asked for.
        failed: fields that the server could not serve, with its words.
    """

    def read(node: msgspec.Raw | bytes) -> RunStreams:
        wire, flaws = decode_flawed(node, WireStreams)
        reasons = {_STREAMS[name]: reason for name, reason in {**flaws, **failed}.items() if name in _STREAMS}
        return RunStreams(
            run_id=wire.name,
            storage_id=wire.id,
            events=None if wire.events is None else lines_of(wire.events),
            log=to_log_page(wire, after=log_after, is_tail=is_tail) if with_log and "console" not in reasons else None,
            history=None if wire.history is None else lines_of(wire.history),
            failed=reasons,
        )

    return _or_bad(read, node, "this run's streams")


def lines_of(texts: list[str | None]) -> tuple[str, ...]:
    """The rows of a stream that are there."""
    return tuple(text for text in texts if text is not None)


def to_log_page(wire: WireStreams, *, after: str | None, is_tail: bool) -> LogPage:
    """A page of console lines. W&B API notes, section 6, says when there are more."""
    count = int_or_none(wire.log_line_count)
    log = wire.log_tail or wire.log_lines
    found = [_line(edge.node) for edge in (log.edges if log else None) or () if edge is not None]
    lines = tuple(line for line in found if line is not None)
    page_info = (log.page_info if log else None) or WirePageInfo()
    end = cursor_text(page_info.end_cursor)
    # A page may be cut short by a size budget with `hasNextPage: false`.
    behind = bool(lines) and count is not None and lines[-1].number + 1 < count
    goes_on = bool(end) and end != after and (behind or bool(page_info.has_next_page))
    return LogPage(
        lines=lines,
        after=end or after,
        has_more=goes_on and not is_tail,
        line_count=count,
        unreadable=len(found) - len(lines),
        is_tail=is_tail,
    )


def _line(node: msgspec.Raw) -> ConsoleLine | None:
    """A console line; None for one without a place among the others."""
    try:
        wire = decode_flawed(node, _Line)[0]
        number = to_int(wire.number)
    except (ValueError, RecursionError):
        return None
    if number is None or number < 0:
        return None
    return ConsoleLine(
        number=number,
        at=time_or_none(wire.timestamp),
        at_text=wire.timestamp,
        level=wire.level or "",
        label=wire.label or "",
        line=wire.line or "",
    )


def _whole(value: object) -> int | None:
    """A step of `liveData`: floats on the wire (W&B API notes, section 6); None for what is no whole number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return to_int(value)
    except ValueError:
        return None


def _or_bad(read: Callable[[msgspec.Raw | bytes], _T], node: msgspec.Raw | bytes, what: str) -> _T | BadRun:
    try:
        return read(node)
    except (ValueError, RecursionError) as error:
        run_id, storage_id = names_of(node)
        return BadRun(run_id=run_id, storage_id=storage_id, reason=one_line(f"the server's answer for {what}: {error}"))
