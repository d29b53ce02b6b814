"""What a run printed, as lines: a terminal with as much of the control characters as progress bars need.

Source: core/internal/terminalemulator and runconsolelogs of W&B's SDK.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from functools import partial

from mirror.records.console import ConsoleLine

HEIGHT = 32  # lines that later output of a stream can still change
GAP = 10_000_000  # lines that may be skipped; a number beyond is a mistake, or an attack
LONGEST = 4096  # characters of a line; what is beyond is cut
_CONTROLS = re.compile(r"\r|\n|\x1b\[[AB]")


class _Line:
    """A line that may still change."""

    def __init__(self, number: int, level: str, at: dt.datetime) -> None:
        self.number, self.level, self.at, self.text = number, level, at, ""


class Console:
    """The lines of a run's output, of both streams together."""

    def __init__(self) -> None:
        self.count = 0  # lines so far
        self._streams = {level: _Stream(partial(self._next, level)) for level in ("", "error")}
        self._changed: dict[int, _Line] = {}

    def write(self, text: str, at: dt.datetime, *, is_error: bool) -> None:
        """Take what a stream printed at a moment."""
        for line in self._streams["error" if is_error else ""].write(text, at):
            self._changed[line.number] = line

    def append(self, text: str, at: dt.datetime) -> None:
        """Take whole lines, which nothing changes later."""
        for line in text.removesuffix("\n").split("\n"):
            self._next("", at).text = line[:LONGEST]

    def put(self, number: int, text: str, at: dt.datetime, level: str) -> None:
        """Take a whole line by its number; one that was there is written over, and those that are skipped stay out."""
        if number > self.count + GAP:
            return
        line = self._changed[number] = _Line(number, level, at)
        line.text = text[:LONGEST]
        self.count = max(self.count, number + 1)

    @property
    def waiting(self) -> int:
        """Lines that wait to be drained."""
        return len(self._changed)

    def drain(self) -> tuple[ConsoleLine, ...]:
        """The lines that are new or changed since the last call, by number."""
        lines = [self._changed[number] for number in sorted(self._changed)]
        self._changed = {}
        return tuple(
            ConsoleLine(
                number=line.number, at=line.at, at_text=line.at.replace(tzinfo=None).isoformat(timespec="microseconds"),
                level=line.level, label="", line=line.text,
            )
            for line in lines
        )  # fmt: skip

    def _next(self, level: str, at: dt.datetime) -> _Line:
        line = self._changed[self.count] = _Line(self.count, level, at)
        self.count += 1
        return line


class _Stream:
    """One stream's view of the terminal: the lines that the cursor can reach."""

    def __init__(self, next_line: Callable[[dt.datetime], _Line]) -> None:
        self._next = next_line
        self._view: list[_Line] = []
        self._row = self._column = 0

    def write(self, text: str, at: dt.datetime) -> list[_Line]:
        """Take what was printed; returns the lines that it touched."""
        touched: list[_Line] = []
        done = 0
        for control in _CONTROLS.finditer(text):
            touched += self._put(text[done : control.start()], at)
            done = control.end()
            match control[0]:
                case "\r":
                    self._column = 0
                case "\n":
                    self._column = 0
                    self._down()
                case "\x1b[A":
                    self._row = max(self._row - 1, 0)
                case _:
                    self._down()
        return touched + self._put(text[done:], at)

    def _put(self, text: str, at: dt.datetime) -> list[_Line]:
        if not text:
            return []
        new = []
        while self._row >= len(self._view):
            new.append(self._next(at))
            self._view.append(new[-1])
        line = self._view[self._row]
        before = line.text[: self._column].ljust(min(self._column, LONGEST))
        line.text = (before + text + line.text[self._column + len(text) :])[:LONGEST]
        self._column += len(text)
        return [line]

    def _down(self) -> None:
        self._row += 1
        if self._row >= HEIGHT:
            del self._view[:1]
            self._row -= 1
