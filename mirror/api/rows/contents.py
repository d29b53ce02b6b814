"""What a run contains: the bytes of a node become values.

Each part of it stands alone: a list of files that lies about its types costs the files, and never the history. Within a
list each row does, and within a row each field (`lists`, `files`, `artifacts`, `streams`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from mirror.api.rows.answers import one_line
from mirror.api.rows.artifacts import artifacts_page
from mirror.api.rows.files import files_page
from mirror.api.rows.flaws import Flaws, decode_flawed, inside
from mirror.api.rows.listed import ArtifactsPage, FilesPage, ListedContents, RunStreams
from mirror.api.rows.pages import BadRun
from mirror.api.rows.runs import names_of
from mirror.api.rows.scalars import ABSENT, Int64, NonEmpty, int_or_none, is_told
from mirror.api.rows.streams import to_streams
from mirror.api.transport.signed_url import SignedUrl
from mirror.texts.values import parse_lenient
from mirror.typed import decode

_T = TypeVar("_T")


class _Export(msgspec.Struct, rename="camel"):
    parquet_urls: msgspec.Raw = ABSENT
    live_data: msgspec.Raw = ABSENT


class _Contents(msgspec.Struct, rename="camel"):
    name: NonEmpty
    id: str = ""
    files: msgspec.Raw = ABSENT
    parquet_history: msgspec.Raw = ABSENT
    logged_artifacts: msgspec.Raw = ABSENT
    used_artifacts: msgspec.Raw = ABSENT
    file_count: Int64 = None
    events_line_count: Int64 = None
    log_line_count: Int64 = None


def to_contents(
    node: msgspec.Raw | bytes,
    *,
    files_first: int,
    artifacts_first: int,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> ListedContents:
    """The contents of a run, from a node that the fragment `RunContents` asked for.

    Args:
        node: the bytes of one run.
        files_first: files that were asked for.
        artifacts_first: artifacts that were asked for, each way.
        failed: what the server could not serve, with its words, by field or by path.

    Raises:
        ValueError: it is no run.
    """
    wire, _ = decode_flawed(node, _Contents)
    found = _Parts(failed)
    count = int_or_none(wire.file_count)

    def listed_files(raw: msgspec.Raw, flaws: Flaws) -> FilesPage:
        page = files_page(raw, files_first, flaws)
        if page.lost_to:  # all of them can be had without what failed: the list is asked for from its beginning
            return FilesPage(files=(), after=None, has_more=True, flaw=page.flaw)
        if not page.files and not page.has_more:
            found.note_empty("files", page.flaw, "files", count, page.unreadable)
        return msgspec.structs.replace(page, told=page.told or count == 0)

    def artifacts(raw: msgspec.Raw, flaws: Flaws) -> ArtifactsPage:
        page = artifacts_page(raw, artifacts_first, flaws)
        if page.lost_to:  # likewise
            return ArtifactsPage(artifacts=(), total=page.total, after=None, has_more=True, flaw=page.flaw)
        if not page.told:
            raise ValueError("it does not list them")
        if page.places == page.unreadable and not page.has_more:
            found.note_empty("artifacts", page.flaw, "versions", page.total, page.unreadable)
        return page

    files = found.part("files", "files", wire.files, listed_files) or FilesPage.untold()
    logged = found.part("artifacts", "loggedArtifacts", wire.logged_artifacts, artifacts) or ArtifactsPage.untold()
    used = found.part("artifacts", "usedArtifacts", wire.used_artifacts, artifacts) or ArtifactsPage.untold()
    for name, flaw in (("files", files.flaw), ("artifacts", logged.flaw or used.flaw)):
        if flaw is not None:
            found.flawed[name] = flaw
    urls, live = found.exports(wire.parquet_history)
    steps = tuple(None if row is None else _step(row) for row in live or ())
    return ListedContents(
        run_id=wire.name,
        storage_id=wire.id,
        files=files.files,
        files_after=files.after,
        has_more_files=files.has_more,
        unreadable_files=files.unreadable,
        files_told=files.told and not files.is_cut,
        file_count=count,
        export_urls=tuple(map(SignedUrl, urls)),
        live_steps=tuple(step for step in steps if step is not None),
        has_live_rows=bool(live),
        live_told=live is not None and None not in steps,
        events_line_count=int_or_none(wire.events_line_count),
        log_line_count=int_or_none(wire.log_line_count),
        logged=logged,
        used=used,
        failed=found.reasons,
        flawed=found.flawed,
    )


class _Parts:
    """Reads the parts of a node, each for itself."""

    def __init__(self, failed: Mapping[str, str]) -> None:
        self._failed = failed
        self.reasons: dict[str, str] = {}  # by part that cannot be had
        self.flawed: dict[str, str] = {}  # by part of which something cannot be had

    def part(self, name: str, field: str, raw: msgspec.Raw, read: Callable[[msgspec.Raw, Flaws], _T]) -> _T | None:
        """One part; None when it is not there, or cannot be read, which is noted under its name."""
        flaws = inside(self._failed, field)
        if field in self._failed or (flaws and not is_told(raw)):
            self.reasons[name] = self._failed.get(field) or next(iter(flaws.values()))
        elif raw != ABSENT:
            try:
                return read(raw, flaws)
            except (ValueError, RecursionError) as error:
                self.reasons[name] = one_line(f"the server's answer for it: {error}")
        return None

    def note_empty(self, name: str, why: str | None, what: str, count: int | None, places: int) -> None:
        """Note that nothing came of a list, unless there is nothing in it.

        Args:
            name: of the part.
            why: what is known of it.
            what: is in the list.
            count: of the whole list, by the server.
            places: in the list, each without anything that can be read.
        """
        if count or places:
            counted = places if count is None else count
            self.reasons.setdefault(name, why or f"the server counts {counted} {what} and lists none")

    def exports(self, raw: msgspec.Raw) -> tuple[list[str], list[dict[str, Any] | None] | None]:
        """Addresses of the parts of a history, and rows that are in none; None for these where they are not told.

        Either may fail alone, and nothing of it costs the history: what it does not tell comes row by row.
        """
        field = "parquetHistory"
        wire = _Export()
        try:
            if is_told(raw):
                wire, _ = decode_flawed(raw, _Export)
            urls = _addresses(wire.parquet_urls) if is_told(wire.parquet_urls) else []
        except (ValueError, RecursionError) as error:
            urls, self.reasons["history"] = [], one_line(f"the server's answer for its exports: {error}")
        try:
            live = _live_rows(wire.live_data) if is_told(wire.live_data) else None
        except (ValueError, RecursionError) as error:
            live, self.reasons["history"] = None, one_line(f"the server's answer for its newest rows: {error}")
        why = self._failed.get(field) or next(iter(inside(self._failed, field).values()), None)
        if why is not None:
            self.reasons["history"] = why
        return urls, live


def _addresses(raw: msgspec.Raw) -> list[str]:
    """`parquetUrls`.

    Raises:
        ValueError: it is no list, or a part among others has no address: the rest would pass for the whole.
    """
    given = decode(raw, list[str | None])
    urls = [url for url in given if url]
    if urls and len(urls) < len(given):
        raise ValueError(f"{len(given) - len(urls)} of {len(given)} parts have no address")
    return urls


def _live_rows(raw: msgspec.Raw) -> list[dict[str, Any] | None]:
    """`liveData`: a list of objects; any of it may be JSON in a text. None in place of a row that is no object.

    Raises:
        ValueError: it is no list.
    """
    value = _parsed(decode(raw, object))
    if not isinstance(value, list):
        raise ValueError("it is no list")  # noqa: TRY004 — what a server sends, not what a caller gives
    rows = map(_parsed, value)
    return [row if isinstance(row, dict) else None for row in rows]


def _parsed(value: object) -> Any:
    return parse_lenient(value) if isinstance(value, str) else value


def _step(row: Mapping[str, Any]) -> int | None:
    """A step of `liveData`: floats on the wire (W&B API notes, section 6); None for what is no whole number."""
    value = row.get("_step")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return int_or_none(value)


def to_contents_or_bad(
    node: msgspec.Raw | bytes,
    *,
    files_first: int,
    artifacts_first: int,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> ListedContents | BadRun:
    """`to_contents`, with a named reason in place of an exception."""

    def read(node: msgspec.Raw | bytes) -> ListedContents:
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
    """`to_streams`, with a named reason in place of an exception."""

    def read(node: msgspec.Raw | bytes) -> RunStreams:
        return to_streams(node, with_log=with_log, log_after=log_after, is_tail=is_tail, failed=failed)

    return _or_bad(read, node, "this run's streams")


def _or_bad(read: Callable[[msgspec.Raw | bytes], _T], node: msgspec.Raw | bytes, what: str) -> _T | BadRun:
    try:
        return read(node)
    except (ValueError, RecursionError) as error:
        run_id, storage_id = names_of(node)
        return BadRun(run_id=run_id, storage_id=storage_id, reason=one_line(f"the server's answer for {what}: {error}"))
