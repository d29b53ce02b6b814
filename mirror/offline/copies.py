"""Copies of logs in the home: what was added survives that its folder is cleaned away.

A copy only ever grows, by what its log has more. The order of writes: bytes are appended and flushed, then the lake
commits how many of them it has read. A power cut leaves a copy that is longer than the lake says, or torn behind that;
both are told by comparing it with its log, and brought up to it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from mirror.durable import make_folder, sync_descriptor, sync_folder
from mirror.layout import Home
from mirror.offline.log.framing import HEADER, Frame, read_frames
from mirror.offline.log.run_log import LogNames, RunLog
from mirror.store.engine.connection import store_errors

_CHUNK = 1 << 20
_HEAD_FRAMES = 1000  # records that may stand before the one that names the run


def identify(path: Path) -> tuple[str, LogNames] | None:
    """What a log is, and whose; None while it does not say yet.

    Returns:
        The SHA-256 of its beginning, up to the record that names the run, and the names.

    Raises:
        NoLog: it is no log.
        OSError: it cannot be read.
    """
    digest = hashlib.sha256(HEADER)
    log = RunLog()
    with path.open("rb") as file:
        for number, frame in enumerate(read_frames(file, is_whole=False)):
            if isinstance(frame, Frame):
                digest.update(frame.content)
                log.take(frame.content)
            if log.names is not None:
                return digest.hexdigest(), log.names
            if number > _HEAD_FRAMES:
                break
    return None


def copy_of(home: Home, log: str) -> Path:
    """Where the copy of a log is."""
    return home.offline / f"{log}.wandb"


def bring_up(
    home: Home, log: str, source: Path, passed: Callable[[int], None] = lambda _: None, *, held: int = 0
) -> int:
    """Append to the copy what its log has more, durably.

    Args:
        home: of the copy.
        log: its digest.
        source: the log; one that is gone, or shorter than its copy, changes nothing.
        passed: told how many bytes were copied, again and again.
        held: bytes that are in the lake, which were flushed before: a file that differs within them is another one.

    Returns:
        Bytes of the copy now.

    Raises:
        OSError: the log cannot be read.
        HomeUnusable: the disk is full or failing.
    """
    copy = copy_of(home, log)
    with store_errors(home):
        is_new = not copy.exists()
        make_folder(home.offline)
        descriptor = os.open(copy, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        length = os.fstat(descriptor).st_size
        try:
            file = source.open("rb")
        except FileNotFoundError:
            return length
        with file:
            common = _common(descriptor, length, file.fileno())
            if common < min(held, length):
                return length
            if common < length <= os.fstat(file.fileno()).st_size:  # torn by a power cut: the log is right
                with store_errors(home):
                    os.ftruncate(descriptor, common)
                length = common
            elif common < length:
                return length
            file.seek(length)
            grown = False
            while chunk := file.read(_CHUNK):
                with store_errors(home):
                    _write_all(descriptor, chunk)
                length, grown = length + len(chunk), True
                passed(len(chunk))
        if grown or is_new:
            with store_errors(home):
                sync_descriptor(descriptor)
        if is_new:
            with store_errors(home):
                sync_folder(home.offline)
        return length
    finally:
        os.close(descriptor)


def forget(home: Home, log: str) -> None:
    """Remove the copy of a log that is upstream."""
    with store_errors(home):
        copy_of(home, log).unlink(missing_ok=True)


def _common(copy: int, length: int, log: int) -> int:
    """How many bytes of the copy's last part the log has as well, counted from the beginning."""
    start = max(0, length - _CHUNK)
    ours, theirs = os.pread(copy, length - start, start), os.pread(log, length - start, start)
    if theirs == ours:
        return length
    return start + next(
        (at for at, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), len(theirs)
    )


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
