"""`wandb-mirror serve`: W&B's own API from this mirror, until it is stopped."""

from __future__ import annotations

import shlex
import sys

import click

from mirror.cli.gateway_start import check_installed, gateway_of, variables
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.output import UTF8, say, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.errors import ConfigError
from mirror.serve_settings import DEFAULT_LISTEN, is_loopback, listen_address


@click.command("serve", epilog=exit_statuses())
@setting_options
@click.option("--listen", type=UTF8, help="HOST:PORT, else `[serve] listen`; port 0 takes a free one.")
@click.option("--read-only", is_flag=True, help="Refuse every change, which is queued otherwise.")
@click.option("--until-stdin-ends", is_flag=True, hidden=True)
def command(home: str | None, config: str | None, listen: str | None, read_only: bool, until_stdin_ends: bool) -> int:
    """Answer W&B's own API from this mirror, for unmodified `wandb` scripts, until Ctrl-C or SIGTERM.

    Prints the two variables that lead the SDK here. The key is this home's own, and whoever has it reads the mirror;
    the API key of W&B is not needed, and never handed out.
    """
    check_installed()
    from mirror.gateway.key import key_of
    from mirror.gateway.listening import bound

    setting = find_setting(home, config)
    try:
        host, port = listen_address(listen or setting.config.serve.listen or DEFAULT_LISTEN)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    listening = bound(host, port)
    key = key_of(setting.home)
    for name, value in variables(host, listening.getsockname()[1], key).items():
        write(f"export {name}={shlex.quote(value)}")
    if not is_loopback(host):
        say(f"note: {host} is reached from other machines: whoever has the key reads this mirror, over plain HTTP")
    if not until_stdin_ends:
        say("paste these two lines where a script is to read this mirror; Ctrl-C ends")
    sys.stdout.flush()
    from mirror.gateway.serving import serve

    serve(
        gateway_of(setting, key, read_only=read_only, host=host),
        listening,
        until_closed=0 if until_stdin_ends else None,
    )
    return 0
