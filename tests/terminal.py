"""A program at a terminal of its own: what a person types goes in, what is drawn comes out."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE_S = 30.0
# What draws and moves: control sequences, titles, single escapes.
_SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>78cDEHM]")
_PART = re.compile(r"\x1b[^a-zA-Z\x1b]*$")
_FORWARD = re.compile(r"\x1b\[(\d*)C")  # blanks are often passed over
TAB, CTRL_C, CTRL_D = "\t", "\x03", "\x04"


class Terminal:
    """A pseudo-terminal with a program in it; a context manager, at whose end the program is gone.

    Args:
        command: program and arguments.
        env: its whole environment; `TERM` is added.
        cwd: its working directory.
        rows, columns: the size of the terminal.
    """

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, rows: int = 24, columns: int = 80
    ) -> None:
        self._mine, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        # Who leads a session and opens a terminal is controlled by it: so Ctrl-C is a signal.
        take_it = ["/bin/sh", "-c", 'exec "$@" <>"$0" >&0 2>&0', os.ttyname(theirs), *command]
        self._process = subprocess.Popen(take_it, env={**env, "TERM": "xterm"}, cwd=cwd, start_new_session=True)
        self._theirs = theirs  # kept open, so that reading goes on to the end
        self.drawn = ""  # everything so far, as it came
        self._read = 0

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self._mine, text.encode())

    def reads(self, wanted: str) -> str:
        """Wait until a text stands there, behind what was read before.

        Returns:
            What was drawn since then up to that text, without what only moves and colours.
        """
        end = time.monotonic() + PATIENCE_S
        while (at := (seen := plain(self.drawn)).find(wanted, self._read)) < 0:
            over = self._process.poll() is not None  # nothing comes after what is there already
            came = self._take(time.monotonic() + 0.1 if over else end)
            assert came, f"{wanted!r} never came; drawn was\n{seen[self._read :][-3000:]}"
        begun, self._read = self._read, at + len(wanted)
        return seen[begun : self._read]

    def types_until(self, keys: str, wanted: str) -> str:
        """Press keys again and again, as a person does who sees nothing come of it, until a text stands there."""
        for _ in range(int(PATIENCE_S)):
            self.types(keys)
            end = time.monotonic() + 1.0
            while wanted not in plain(self.drawn)[self._read :] and self._take(end):
                pass
            if wanted in plain(self.drawn)[self._read :]:
                break
        return self.reads(wanted)

    def ends(self) -> int:
        """Wait for the program's end; its exit status."""
        end = time.monotonic() + PATIENCE_S
        while self._process.poll() is None and time.monotonic() < end:
            self._take(time.monotonic() + 0.1)
        while self._take(time.monotonic() + 0.01):
            pass
        return self._process.wait(1)

    def _take(self, end: float) -> bool:
        """Read what there is; False when nothing came until then."""
        ready, _, _ = select.select([self._mine], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return False
        self.drawn += os.read(self._mine, 65536).decode(errors="replace")
        return True

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what still runs."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE_S)
        os.close(self._mine)
        os.close(self._theirs)


def plain(drawn: str) -> str:
    """What was drawn, without what moves and colours, as far as it came whole."""
    return _SEQUENCES.sub("", _FORWARD.sub(lambda move: " " * int(move[1] or 1), _PART.sub("", drawn)))
