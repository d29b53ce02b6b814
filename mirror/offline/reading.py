"""A log as those who deliver it read it: from its copy, as far as the lake has it, with the steps that it has there."""

from __future__ import annotations

from collections.abc import Iterator

from mirror.layout import Home
from mirror.offline.copies import copy_of
from mirror.offline.log.framing import BYTES_TOGETHER, RECORDS_TOGETHER, Frame, read_frames
from mirror.offline.log.run_log import NewRows, RunLog
from mirror.records.offline import OfflineLog
from mirror.store.engine.connection import store_errors

CHARACTERS_AT_ONCE = 8_000_000  # of rows and lines, in memory, of each run that is delivered


class LogReading:
    """One pass over a log.

    Args:
        home: of the copy.
        row: what the lake has of it.
    """

    def __init__(self, home: Home, row: OfflineLog) -> None:
        self.log = RunLog(
            lambda _, __: row.first_step, lambda _: False, job_type=row.job_type, new_tags=row.new_tags
        )  # what was read so far; its keys are not counted
        self._home, self._row = home, row

    def batches(self, rows: int) -> Iterator[NewRows]:
        """The rows and lines, about so many at once.

        Raises:
            StoreError: the copy cannot be read.
        """
        with store_errors(self._home), copy_of(self._home, self._row.log).open("rb") as file:
            waiting: list[bytes] = []
            size = 0
            for frame in read_frames(file, is_whole=True):
                if frame.end > self._row.bytes:
                    break
                if isinstance(frame, Frame):
                    waiting.append(frame.content)
                    size += len(frame.content)
                if size >= BYTES_TOGETHER or len(waiting) >= min(RECORDS_TOGETHER, rows):
                    self.log.take_many(waiting)
                    waiting, size = [], 0
                    if self.log.waits(rows, CHARACTERS_AT_ONCE):
                        yield self.log.drain()
            self.log.take_many(waiting)
            yield self.log.drain()
