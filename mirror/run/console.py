"""What a run printed, line by line, as the mirror holds it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mirror.errors import CommError, NotMirrored
from mirror.run.facts import RunFacts
from mirror.run.not_held import not_held
from mirror.run.pending.local import LocalMirror
from mirror.run.sdk.pages import Pages
from mirror.store.read.console import ConsoleSpan, console_span, read_console


@dataclass(frozen=True)
class ConsoleLogLine:
    """One line of a run's console.

    Attributes:
        number: its place in the log, from 0.
        timestamp: when it was captured, UTC; None when that is not known.
        level: "error" for what went to stderr, else "".
        label: which process wrote it, where several write to one run; else "".
        content: its text.
    """

    number: int
    timestamp: dt.datetime | None
    level: str
    label: str
    content: str


def console_not_mirrored(run: RunFacts) -> NotMirrored | None:
    """What to say of a run of whose console no line is held; None when it printed nothing."""
    if (error := not_held(run, "console of {} is", "console", "console lines")) is not None:
        return error
    entity, project, _ = path = run._run_path
    source = run._local.source(entity, project)
    if source is None or source.streams:
        return None
    return NotMirrored(
        f"the console of {'/'.join(path)} is not in this mirror: its source has streams = false",
        hint=f"set streams = true in {run._local.home.config} and pull again",
    )


class ConsoleLogs(Pages[ConsoleLogLine]):
    """Lines of a run's console, oldest first. How many is settled by the first look.

    Args:
        local: the mirror.
        run: whose console.
        per_page: lines read at a time.
        last: only so many of the newest; unlike the server's, the mirror's answer is never cut short.
    """

    def __init__(self, local: LocalMirror, run: RunFacts, per_page: int = 1000, last: int | None = None) -> None:
        super().__init__(per_page)
        self._local = local
        self.run = run
        self._last = last

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<ConsoleLogs {self.run.entity}/{self.run.project}/{self.run.id}>"

    @cached_property
    def _span(self) -> ConsoleSpan:
        """Which lines are held.

        Raises:
            NotMirrored: the pull could not read them, or is told to leave them out.
            CommError: fewer than one line is wanted, as with the SDK.
        """
        if self._last is not None and self._last < 1:
            raise CommError("'last' must be positive")
        path = self.run._run_path
        span = console_span(self._local.reader, path)
        if span.count:
            return span
        if (error := console_not_mirrored(self.run)) is not None:
            raise error
        return span

    @property
    def _skipped(self) -> int:
        """Lines before the first that is wanted."""
        return 0 if self._last is None else max(0, self._span.count - self._last)

    def _count(self) -> int:
        return self._span.count - self._skipped

    def _read(self, start: int, stop: int) -> Sequence[ConsoleLogLine]:
        places = start + self._skipped, stop + self._skipped
        return [
            ConsoleLogLine(number=row.number, timestamp=row.at, level=row.level, label=row.label, content=row.line)
            for row in read_console(self._local.reader, self.run._run_path, self._span, *places)
        ]
