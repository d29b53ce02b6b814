"""Files of runs and of artifacts: the bytes of a list become pages."""

from __future__ import annotations

import msgspec

from mirror.api.rows.answers import one_line
from mirror.api.rows.flaws import Flaws, decode_flawed, fields_of, names_in
from mirror.api.rows.listed import FilesPage, ListedFile
from mirror.api.rows.lists import CUT, NO_FLAWS, flaws_by_place, lost_to, read_list
from mirror.api.rows.scalars import Int64, int_or_none
from mirror.api.rows.times import time_or_none
from mirror.api.transport.signed_url import SignedUrl


class _File(msgspec.Struct, rename="camel"):
    name: str
    id: str | None = None
    size_bytes: Int64 = None
    md5: str | None = None
    mimetype: str | None = None
    updated_at: str | None = None
    direct_url: str | None = None
    url: str | None = None


_ADDRESSES = (".node.directUrl", ".node.url")

# What tells one version of a file from another one.
_MARKS = {"sizeBytes": "size", "md5": "md5", "updatedAt": "updated_at_text"}


def files_page(raw: msgspec.Raw, first: int, flaws: Flaws = NO_FLAWS) -> FilesPage:
    """One page of files. The SDK continues from the last edge's cursor (W&B API notes, section 7).

    Args:
        raw: the bytes of the list.
        first: files that were asked for.
        flaws: what the server could not serve inside of it, by path.

    Raises:
        ValueError: it is no list, or promises more and nothing of it came.
    """
    listed = read_list(raw)
    failed, flaw = flaws_by_place(flaws)
    if None not in listed.nodes:
        # Of a file that is not to be fetched an address is no loss; one that is fails under its own name.
        flaw = next((why for path, why in flaws.items() if not path.endswith(_ADDRESSES)), None)
    files: list[ListedFile] = []
    for place, node in enumerate(listed.nodes):
        try:
            if node is not None:
                file, lies = _file(node, failed.get(place, NO_FLAWS))
                files.append(file)
                flaw = flaw or next((f"{file.name}: {why}" for name, why in lies.items() if name in _MARKS), None)
        except (ValueError, RecursionError) as error:
            flaw = flaw or str(error)
    after = listed.last_cursor or listed.end_cursor
    has_more, is_cut = listed.goes_on(after, first)
    flaw = flaw or (CUT if is_cut else None)
    return FilesPage(
        files=tuple(files),
        after=after,
        has_more=has_more,
        is_cut=is_cut,
        unreadable=len(listed.nodes) - len(files),
        told=listed.told,
        flaw=None if flaw is None else one_line(flaw),
        lost_to=lost_to(listed, failed, frozenset({"name"})),
    )


def _file(node: msgspec.Raw, failed: Flaws) -> tuple[ListedFile, Flaws]:
    """A file, and what of it is of another type than it should be."""
    wire, lies = decode_flawed(node, _File)
    untold = (_MARKS.keys() - names_in(node)) | lies.keys() | fields_of(failed).keys()
    size = int_or_none(wire.size_bytes)
    if size is None and wire.size_bytes is not None:
        untold |= {"sizeBytes"}
    file = ListedFile(
        name=wire.name,
        file_id=wire.id,
        size=size if size is not None and size >= 0 else None,  # what makes no sense says nothing
        md5=wire.md5 or None,
        mimetype=wire.mimetype,
        updated_at=time_or_none(wire.updated_at),
        updated_at_text=wire.updated_at,
        url=SignedUrl(wire.direct_url or wire.url or ""),
        untold=frozenset(mark for name, mark in _MARKS.items() if name in untold),
    )
    return file, lies
