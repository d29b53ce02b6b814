"""`wandb-mirror exec`: one command whose `wandb` reads this mirror.

The command takes the place of this process, so that its exit status, its signals and its terminal are its own; the
gateway is a process beside it, which ends when the command has, and what it started.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import click

from mirror.cli.asked_server import BASE_URL, EXECUTING
from mirror.cli.beside import Waits, begin_beside
from mirror.cli.gateway_start import bypass, check_installed, check_mirrored, gateway_of, variables
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.statuses import exit_statuses
from mirror.errors import ConfigError, MirrorError
from mirror.private import UMASK

LOOPBACK = "127.0.0.1"
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as a shell ends


class CannotStart(MirrorError):
    """The command cannot be started."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, hint="name a program as in a shell: wandb-mirror exec -- python script.py")
        self.exit_code = status  # type: ignore[misc]  # a shell's


@click.command(
    "exec", epilog=exit_statuses(), context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@setting_options
@click.option("--read-only", is_flag=True, help="Refuse every change, which is queued otherwise.")
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(home: str | None, config: str | None, read_only: bool, words: tuple[str, ...]) -> NoReturn:
    """Run a command in whose processes `wandb.Api()` reads this mirror, and end with its exit status.

    \b
    wandb-mirror exec -- python plot_paper.py

    The gateway listens on a free port of loopback for as long as the command runs. Its address and key go into the
    environment of the command (WANDB_BASE_URL, WANDB_API_KEY) and nowhere else; NO_PROXY keeps a proxy out of it. A
    command that cannot be started ends with a shell's status, 127 or 126.
    """
    check_installed()
    if not hasattr(os, "fork"):
        raise ConfigError("`exec` needs a POSIX system", hint="`wandb-mirror serve` does the same in two terminals")
    from mirror.gateway.http.key import fresh_key
    from mirror.gateway.http.listening import bound

    setting = find_setting(home, config)
    check_mirrored(setting)
    key = fresh_key()
    listening = bound(LOOPBACK, 0)

    def serve(until: Waits) -> None:
        from mirror.gateway.http.serving import serve

        gateway = gateway_of(setting, key, read_only=read_only, host=LOOPBACK)
        serve(gateway, listening, until=until)

    begin_beside(serve, umask=UMASK)
    asked = variables(LOOPBACK, listening.getsockname()[1], key)
    environment = os.environ | asked | bypass(os.environ, LOOPBACK) | {EXECUTING: asked[BASE_URL]}
    listening.close()
    sys.stdout.flush()
    sys.stderr.flush()
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python; a command expects to be ended by them
        signal.signal(ignored, signal.SIG_DFL)
    try:
        if not words[0]:
            raise FileNotFoundError
        os.execvpe(words[0], words, environment)
    except FileNotFoundError:
        raise CannotStart(f"there is no command {words[0]!r}", NOT_FOUND) from None
    except OSError as error:
        raise CannotStart(f"{words[0]!r} cannot be started: {error.strerror}", NOT_EXECUTABLE) from error
