"""The daemon of the story: `python -m tests.daemon.soak.daemon_process CLOCK HOME`, logs on standard error."""

from __future__ import annotations

import faulthandler
import sys
from pathlib import Path

import anyio

from mirror.config import load_config
from mirror.daemon.app import Daemon
from mirror.daemon.logs import Log
from mirror.daemon.schedule.clock import Clock
from mirror.errors import MirrorError
from mirror.layout import Home
from tests.daemon.soak.loop import StoryLoop
from tests.daemon.soak.shared_clock import SharedClock


def main() -> int:
    """Run until stopped, as the command does."""
    faulthandler.enable()
    clock, home = SharedClock(Path(sys.argv[1])), Home(Path(sys.argv[2]))
    log = Log(readable=False)
    daemon = Daemon(home, home.config, lambda: load_config(home.config), log, clock=Clock(utc=clock.utc))
    try:
        anyio.run(daemon.run, backend_options={"loop_factory": lambda: StoryLoop(clock)})
    except MirrorError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
