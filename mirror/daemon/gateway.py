"""The gateway of a daemon: a process beside it, so that whoever reads takes no time from who pulls and delivers.

It begins where the configuration says where to listen, begins anew when that changes, and ends with the daemon, however
that ends: it reads a pipe that the daemon holds. One that ends by itself, as where somebody else has the port, is told
once, is a finding until it serves, and is tried again.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.abc
from anyio.streams.text import TextReceiveStream

from mirror.daemon.events import Event
from mirror.daemon.logs import Log
from mirror.layout import Home
from mirror.serve_settings import ServeSettings

AGAIN_S = 5.0  # until one that ended is begun again
STOP_WITHIN_S = 10.0  # it ends what is under way; then it is killed
_TOLD = 4096  # characters of what it says last
_LONGEST = 1000  # characters of such a line
_LINES = 500  # that one process may add to the log


class GatewayBeside:
    """The gateway of one daemon.

    Args:
        home: whose.
        config_path: the configuration, which it reads itself.
        log: for what goes wrong.
    """

    def __init__(self, home: Home, config_path: Path, log: Log) -> None:
        self.trouble: str | None = None  # why nobody is served though it is wanted
        self._home = home
        self._config_path = config_path
        self._log = log
        self._settings = ServeSettings()
        self._moved = anyio.Event()

    def follow(self, settings: ServeSettings) -> None:
        """Serve so from now on; not at all, where no place to listen is given."""
        if settings != self._settings:
            self._settings = settings
            self._moved.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._moved = anyio.Event()
            async with anyio.create_task_group() as group:
                if self._settings.listen:
                    group.start_soon(self._keep, self._settings.listen)
                await self._moved.wait()
                group.cancel_scope.cancel()
            self.trouble = None

    async def _keep(self, listen: str) -> None:
        """Have it served, again and again."""
        while True:
            reason = await self._serve(listen)
            if self.trouble != reason:
                self._log.warning(Event.GATEWAY_ENDED, address=listen, reason=reason, hint="it is begun again")
            self.trouble = reason
            await anyio.sleep(AGAIN_S)

    async def _serve(self, listen: str) -> str:
        """One process, to its end; why it ended."""
        words = [sys.executable, "-m", "mirror.cli", "serve", "--until-stdin-ends"]
        words += ["--home", str(self._home.root), "--config", str(self._config_path)]
        process = await anyio.open_process(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        said = ""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._hear, process, listen)
                if process.stderr is not None:
                    lines = 0
                    async for text in TextReceiveStream(process.stderr, errors="replace"):
                        said = (said + text)[-_TOLD:]
                        for line in text.splitlines()[: _LINES - lines]:
                            lines += 1
                            self._log.warning(Event.GATEWAY_SAID, text=line[:_LONGEST])
                await process.wait()
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)
        return _last_words(said, process.returncode)

    async def _hear(self, process: anyio.abc.Process, listen: str) -> None:
        """What it prints, which holds its key, goes nowhere; that it prints says that it serves."""
        with contextlib.suppress(anyio.EndOfStream):
            if process.stdout is not None:
                await process.stdout.receive()
                self._log.info(Event.SERVING, address=listen)
                self.trouble = None
                while True:
                    await process.stdout.receive()


async def _end(process: anyio.abc.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with anyio.move_on_after(STOP_WITHIN_S):
            await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    await process.aclose()


def _last_words(said: str, status: int | None) -> str:
    """Why it ended: its error, with its hint."""
    lines = said.splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    hints = [line.strip().removeprefix("hint: ") for line in lines if line.strip().startswith("hint: ")]
    return "; ".join((*errors[-1:], *hints[-1:])) or f"the gateway ended with status {status}"
