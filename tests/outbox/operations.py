"""Operations that the tests of this folder queue."""

from __future__ import annotations

from msgspec import UNSET

from mirror.records.addresses import RunPath
from mirror.records.operations import Change, Edit, Operation, Stop, UploadFile

RUNS = [RunPath("e", "p", "one"), RunPath("e", "p", "two"), RunPath("e", "q", "one")]


def edit(mark: str, key: str | None = None, after: str | None = None) -> Edit:
    """An edit that can be found again: by a key of its own, or by the value of a shared one.

    Args:
        mark: the value.
        key: None: the mark.
        after: the mark that its author saw there; None: none.
    """
    return Edit(config={key or mark: Change(value=mark, base=UNSET if after is None else after)})


def upload(mark: str) -> UploadFile:
    """An upload of that name."""
    return UploadFile(name=mark, object="ab" * 32, size=3, md5="AAAA")


def marks(operation: Operation) -> set[str]:
    """The marks in an operation."""
    if isinstance(operation, Edit):
        return {str(change.value) for change in operation.config.values()}
    if isinstance(operation, UploadFile):
        return {operation.name}
    assert isinstance(operation, Stop)
    return set()
