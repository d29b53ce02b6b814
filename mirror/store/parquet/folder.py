"""The folder of an export: made, or known for one of ours; one process at a time; its errors told from the lake's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import duckdb

from mirror.durable import FULL, sync_folder
from mirror.errors import ConfigError, Refused, StoreError
from mirror.locks import ProcessLock

LOCK = ".export.lock"  # also tells a folder of ours from another
_HOLDER = ".export.json"
_AS_IT_WAS = "the export is as it was"


def make_folder(target: Path) -> None:
    """Make the folder, or see that it is ours.

    Raises:
        Refused: it holds other things.
        ConfigError: it is a file.
        StoreError: it cannot be made.
    """
    with writing(target):
        if target.exists() and not target.is_dir():
            raise ConfigError(f"{target} is no folder", hint="name a folder for the export")
        if target.is_dir():
            if any(target.iterdir()) and not (target / LOCK).exists():
                raise Refused(
                    f"{target} holds other things than an export",
                    hint="name a folder that is empty, not there yet, or of an earlier export",
                )
            return
        target.mkdir(parents=True)
        sync_folder(target.parent)


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Be the one that writes the folder.

    Raises:
        HomeBusy: another process does.
    """
    hint = "wait until it is done, and try again"
    with ProcessLock(target / LOCK, target / _HOLDER, busy=f"exporting to {target}", hint=hint):
        yield


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """Say of the folder what is the folder's: the home may be on another disk.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        why = "its disk is full" if error.errno in FULL else error.strerror or str(error)
        raise StoreError(f"{target} cannot be written: {why}", hint=_AS_IT_WAS) from error
    except duckdb.IOException as error:
        if f"{os.fspath(target)}{os.sep}" not in str(error):
            raise
        raise StoreError(f"{target} cannot be written: {str(error).splitlines()[0]}", hint=_AS_IT_WAS) from error
