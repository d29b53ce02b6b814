"""What a run has besides itself: files, exports, the live tail, counts, artifacts. `contents` makes these values.

Every list is a first page with a place to continue from: most runs need no second request.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Self

import msgspec

from mirror.api.transport.signed_url import SignedUrl
from mirror.records.artifacts import ArtifactRef
from mirror.records.console import ConsoleLine


class ListedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as the server lists it. Nothing here is checked: size and digest are claims about the bytes."""

    name: str  # slash path, untrusted: `..`, absolute paths, drive letters and backslashes come
    file_id: str | None  # None: the server does not tell it
    size: int | None  # bytes; self-hosted servers list 0 or an old size for a file that was not marked
    md5: str | None  # base64 of 16 bytes, as sent; often null, may be stale
    mimetype: str | None
    updated_at: dt.datetime | None  # UTC
    updated_at_text: str | None
    url: SignedUrl  # expires; the reference itself for a reference file
    untold: frozenset[str] = frozenset()  # of size, md5 and updated_at_text, those that the server did not tell

    @property
    def is_address(self) -> bool:
        """Whether it is no file but an address to upload to, which older servers answer for any name."""
        return not (self.untold or self.size or self.md5 or self.updated_at_text)


class FilesPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list of files."""

    files: tuple[ListedFile, ...]  # in the server's order
    after: str | None  # cursor to continue from
    has_more: bool
    is_cut: bool = False  # there is more, and no place is given to continue from
    unreadable: int = 0  # places in the list without a file, or with one that cannot be read
    told: bool = True  # False: the server did not say what is in the list
    flaw: str | None = None  # what it could not tell of single files, in its words
    lost_to: frozenset[str] = frozenset()  # the server's fields that failed and took whole files along

    @classmethod
    def untold(cls) -> Self:
        """Of a server that does not list the files."""
        return cls(files=(), after=None, has_more=False, told=False)


class ArtifactsPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the versions that a run logged or used; pending and deleted ones are left out."""

    artifacts: tuple[ArtifactRef, ...]  # in the server's order
    total: int | None  # of the whole list, by the server's count
    places: int = 0  # of this page in the list, whatever is in them
    after: str | None  # cursor to continue from
    has_more: bool
    is_cut: bool = False  # there is more, and no place is given to continue from
    unreadable: int = 0  # places in the list with a version that cannot be read
    told: bool = True  # False: the server did not say what is in the list
    flaw: str | None = None  # what it could not tell of single versions, in its words
    lost_to: frozenset[str] = frozenset()  # the server's fields that failed and took whole versions along

    @classmethod
    def untold(cls) -> Self:
        """Of a server that does not list the artifacts."""
        return cls(artifacts=(), total=None, after=None, has_more=False, told=False)


class ListedContents(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one run that costs no further request. Addresses in here expire: ask again after a 403."""

    run_id: str
    storage_id: str
    files: tuple[ListedFile, ...]  # the first page
    files_after: str | None  # cursor to continue from with `Client.files_page`
    has_more_files: bool
    unreadable_files: int = 0  # places in the first page without a file, or with one that cannot be read
    files_told: bool = True  # False: the server did not say which files there are
    file_count: int | None  # by the server's count
    export_urls: tuple[SignedUrl, ...]  # parts of the history export; their order differs from call to call
    live_steps: tuple[int, ...]  # steps that are not exported yet, as far as they are whole numbers
    has_live_rows: bool  # rows are not exported yet, whether or not their steps can be read
    live_told: bool = True  # False: the server did not say, or not of all, which rows are not exported yet
    events_line_count: int | None
    log_line_count: int | None
    logged: ArtifactsPage
    used: ArtifactsPage
    # Parts that the server could not serve, with its words: "files", and of "history" and "artifacts" some or all.
    failed: Mapping[str, str] = {}
    flawed: Mapping[str, str] = {}  # parts of which it could not serve single rows or fields: "files", "artifacts"


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """Console lines, oldest first."""

    lines: tuple[ConsoleLine, ...]
    after: str | None  # cursor to continue from
    has_more: bool  # newer lines exist behind `after`
    is_cut: bool = False  # there are more, and no place is given to continue from
    line_count: int | None  # lines that the run has, by the server's count
    unreadable: int = 0  # lines without a number, which have no place among the others
    is_tail: bool  # these are the newest lines: as they were asked for, or from an old server, which has no others
    flaw: str | None = None  # what the server could not tell of single lines, in its words


class StreamAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask of one run in a request for many."""

    run_id: str
    events_samples: int | None = None  # at most so many rows of system metrics; None: none
    with_log: bool = False  # one page of console lines
    log_after: str | None = None  # `LogPage.after` of the page before
    log_last: int | None = None  # instead of a page: so many of the newest console lines
    history_from: int | None = None  # first step of a page of history; None: none
    history_to: int | None = None  # the step behind its last


class RunStreams(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of one run; None where nothing was asked, or the server lacks it."""

    run_id: str
    storage_id: str
    events: tuple[str | None, ...] | None  # one JSON text a row, as sent; None in place of one that cannot be read
    log: LogPage | None
    history: tuple[str | None, ...] | None  # likewise
    failed: Mapping[str, str] = {}  # streams that the server could not serve: "history", "console", "system metrics"
    flawed: Mapping[str, str] = {}  # streams of which it could not serve something: the rest is here


class ManifestFile(msgspec.Struct, frozen=True, kw_only=True):
    """Where the manifest of a version is, and what the version's digest must come to."""

    url: SignedUrl
    size: int | None  # bytes of the manifest's JSON
    digest: str  # hex, over the entries; see `records.artifacts.manifest_digest`
    digest_algorithm: str | None
