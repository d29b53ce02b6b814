"""What mutations answer: their payloads, and the errors that stand beside a change that was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from mirror.api.rows.answers import one_line
from mirror.api.rows.scalars import NULL
from mirror.errors import Reported


class UploadSlot(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bytes of one file go."""

    url: str | None  # signed, or relative to the base URL; None: the server wants no bytes
    headers: Mapping[str, str]


class Success(msgspec.Struct):
    """Of a mutation that says whether it was made."""

    success: bool | None = None


class Bucket(msgspec.Struct):
    """Of `upsertBucket`."""

    bucket: msgspec.Raw = NULL
    inserted: bool | None = None  # whether it was made; None: the server does not tell


class Slot(msgspec.Struct, rename="camel"):
    """Where a file goes."""

    name: str
    upload_url: str | None = None
    url: str | None = None  # to write to, where it was asked for so


class SlotEdge(msgspec.Struct):
    """A place in a list of files."""

    node: Slot | None = None


class ListedSlots(msgspec.Struct, rename="camel"):
    """Files with addresses to write to."""

    upload_headers: list[str | None] | None = None
    edges: list[SlotEdge | None] | None = None


class WithSlots(msgspec.Struct):
    """A run with them."""

    files: ListedSlots | None = None


class Slots(msgspec.Struct, rename={"run_id": "runID", "upload_headers": "uploadHeaders"}):
    """Of `createRunFiles`."""

    run_id: str | None = None
    upload_headers: list[str | None] | None = None
    files: list[Slot | None] | None = None

    def by_name(self) -> dict[str, UploadSlot]:
        """Where the bytes of each file go."""
        headers = headers_in(self.upload_headers)
        return {slot.name: UploadSlot(url=slot.upload_url, headers=headers) for slot in self.files or () if slot}


class AttachedArtifact(msgspec.Struct):
    """A version, after it was attached."""

    state: str | None = None


class WithArtifact(msgspec.Struct):
    """Of `createArtifact`."""

    artifact: AttachedArtifact | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A mutation that was executed."""

    name: str
    payload: msgspec.Raw  # not null
    errors: tuple[Reported, ...] = ()  # that stand beside

    @property
    def is_unread(self) -> bool:
        """Whether there are errors, and all are about fields of the payload: what was done cannot be shown."""
        return bool(self.errors) and all(
            error.path[:1] == (self.name,) and len(error.path) > 1 for error in self.errors
        )

    @property
    def words(self) -> str:
        """Those of the errors."""
        return words_in(self.errors)

    def failed(self, field: str) -> dict[str, str]:
        """The fields of a thing in the payload that could not be shown, with the server's words."""
        behind = (self.name, field)
        return {
            str(error.path[2]): error.message for error in self.errors if error.path[:2] == behind and error.path[2:]
        }


def words_in(reported: Sequence[Reported]) -> str:
    """What errors say, on one line."""
    return one_line("; ".join(error.message for error in reported))


def headers_in(lines: Sequence[str | None] | None) -> dict[str, str]:
    """Headers of an upload, from `Name:value` lines; blanks around either are no part of it."""
    pairs = (line.partition(":") for line in lines or () if line)
    return {name.strip(): value.strip() for name, sign, value in pairs if sign and name.strip()}
