"""What a run contains: the bytes of a node become values, or a bad run with its reason.

A run whose contents lie about their types is bad as a whole: half a list of files would pass for all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from mirror.api.answers import one_line
from mirror.api.artifact_rows import WireArtifacts, artifacts_page
from mirror.api.contents import FilesPage, ListedFile, LogPage, RunContents, RunStreams
from mirror.api.pages import BadRun
from mirror.api.rows import names_of
from mirror.api.scalars import Int64, NonEmpty, to_int
from mirror.api.signed_url import SignedUrl
from mirror.api.times import time_or_none
from mirror.api.wire import WirePageInfo
from mirror.records.console import ConsoleLine
from mirror.typed import decoder

_T = TypeVar("_T")


class _File(msgspec.Struct, rename="camel"):
    id: str
    name: str
    size_bytes: Int64 = None
    md5: str | None = None
    mimetype: str | None = None
    updated_at: str | None = None
    direct_url: str | None = None

    def listed(self) -> ListedFile:
        size = to_int(self.size_bytes)
        if size is not None and size < 0:
            raise ValueError("a file is listed with a negative size")
        return ListedFile(
            name=self.name,
            file_id=self.id,
            size=size,
            md5=self.md5 or None,
            mimetype=self.mimetype,
            updated_at=time_or_none(self.updated_at),
            updated_at_text=self.updated_at,
            url=SignedUrl(self.direct_url or ""),
        )


class _FileEdge(msgspec.Struct):
    node: _File
    cursor: str | None = None


class WireFiles(msgspec.Struct, rename="camel"):
    """One page of files."""

    edges: list[_FileEdge]
    page_info: WirePageInfo

    def page(self) -> FilesPage:
        """As a value. The SDK continues from the last edge's cursor (W&B API notes, section 7)."""
        after = (self.edges[-1].cursor if self.edges else None) or self.page_info.end_cursor
        return FilesPage(
            files=tuple(edge.node.listed() for edge in self.edges),
            after=after,
            has_more=goes_on(self.page_info, after, rows=len(self.edges)),
        )


class _Export(msgspec.Struct, rename="camel"):
    parquet_urls: list[str] | None = None
    live_data: list[dict[str, object]] | None = None


class _Contents(msgspec.Struct, rename="camel"):
    id: NonEmpty
    name: NonEmpty
    files: WireFiles | None
    parquet_history: _Export | None
    logged_artifacts: WireArtifacts | None
    used_artifacts: WireArtifacts | None
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
    node: _Line


class WireLog(msgspec.Struct, rename="camel"):
    """One page of console lines."""

    edges: list[_LineEdge]
    page_info: WirePageInfo


class WireStreams(msgspec.Struct, rename="camel"):
    """What was asked of a run's streams; what was not asked is not there."""

    id: NonEmpty
    name: NonEmpty
    events: list[str] | None = None
    history: list[str] | None = None
    log_lines: WireLog | None = None
    log_tail: WireLog | None = None
    log_line_count: Int64 = None


_contents_decoder = decoder(_Contents)
_streams_decoder = decoder(WireStreams)


def goes_on(page_info: WirePageInfo, after: str | None, *, rows: int) -> bool:
    """Whether a list continues.

    Raises:
        ValueError: it promises more, but gives no place to continue from: a walk along it would never end.
    """
    if page_info.has_next_page and not (after and rows):
        raise ValueError("a list promises more but gives no place to continue from")
    return page_info.has_next_page


def to_contents(node: msgspec.Raw | bytes) -> RunContents:
    """The contents of a run, from a node that the fragment `RunContents` asked for.

    Raises:
        ValueError: it lies about its types.
    """
    wire = _contents_decoder.decode(node)
    files = wire.files.page() if wire.files else FilesPage(files=(), after=None, has_more=False)
    export = wire.parquet_history or _Export()
    live = export.live_data or []
    return RunContents(
        run_id=wire.name,
        storage_id=wire.id,
        files=files.files,
        files_after=files.after,
        has_more_files=files.has_more,
        file_count=to_int(wire.file_count),
        export_urls=tuple(SignedUrl(url) for url in export.parquet_urls or ()),
        live_steps=tuple(step for row in live if (step := _whole(row.get("_step"))) is not None),
        has_live_rows=bool(live),
        events_line_count=to_int(wire.events_line_count),
        log_line_count=to_int(wire.log_line_count),
        logged=artifacts_page(wire.logged_artifacts),
        used=artifacts_page(wire.used_artifacts),
    )


def to_contents_or_bad(node: msgspec.Raw | bytes) -> RunContents | BadRun:
    """`to_contents`, with a named reason in place of an exception."""
    return _or_bad(to_contents, node, "this run's contents")


def to_streams_or_bad(
    node: msgspec.Raw | bytes, *, with_log: bool, log_after: str | None, is_tail: bool
) -> RunStreams | BadRun:
    """What was asked of a run's streams.

    Args:
        node: the bytes of one run.
        with_log: whether console lines were asked for; a run that never wrote any gives null.
        log_after: the cursor that they were asked behind.
        is_tail: the newest ones were asked for.
    """

    def read(node: msgspec.Raw | bytes) -> RunStreams:
        wire = _streams_decoder.decode(node)
        return RunStreams(
            run_id=wire.name,
            storage_id=wire.id,
            events=None if wire.events is None else tuple(wire.events),
            log=to_log_page(wire, after=log_after, is_tail=is_tail) if with_log else None,
            history=None if wire.history is None else tuple(wire.history),
        )

    return _or_bad(read, node, "this run's streams")


def to_log_page(wire: WireStreams, *, after: str | None, is_tail: bool) -> LogPage:
    """A page of console lines. W&B API notes, section 6, says when there are more.

    Raises:
        ValueError: a line or a count lies about its type.
    """
    count = to_int(wire.log_line_count)
    log = wire.log_tail or wire.log_lines
    lines = tuple(_line(edge.node) for edge in (log.edges if log else ()))
    page_info = log.page_info if log else WirePageInfo()
    end = page_info.end_cursor
    # A page may be cut short by a size budget with `hasNextPage: false`.
    behind = bool(lines) and count is not None and lines[-1].number + 1 < count
    goes_on = bool(end) and end != after and (behind or page_info.has_next_page)
    return LogPage(
        lines=lines,
        after=end or after,
        has_more=goes_on and not is_tail,
        line_count=count,
        is_tail=is_tail,
    )


def _line(wire: _Line) -> ConsoleLine:
    number = to_int(wire.number)
    if number is None or number < 0:
        raise ValueError("a console line has no number")
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
