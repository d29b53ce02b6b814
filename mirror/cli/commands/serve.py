"""`wandb-mirror serve`: W&B's own API from this mirror, until it is stopped."""

from __future__ import annotations

import os
import shlex
import sys
from functools import partial

import click

from mirror.cli.asked_server import BASE_URL
from mirror.cli.beside import read_to_end
from mirror.cli.gateway_start import bypass, check_installed, check_mirrored, gateway_of, has_proxy, variables
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

    Prints the variables that lead the SDK here, past a proxy where one is set. The key is this home's own, and whoever
    has it reads the mirror; the API key of W&B is not needed, and never handed out.
    """
    check_installed()
    from mirror.gateway.http.key import key_of
    from mirror.gateway.http.listening import bound
    from mirror.web.entry import entry_path

    setting = find_setting(home, config)
    if not until_stdin_ends:  # a daemon's first pull may still be to come
        check_mirrored(setting)
    try:
        host, port = listen_address(listen or setting.config.serve.listen or DEFAULT_LISTEN)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    listening = bound(host, port)
    key = key_of(setting.home)
    exported = variables(host, listening.getsockname()[1], key)
    if has_proxy(os.environ):
        exported |= bypass(os.environ, host)
    for name, value in exported.items():
        write(f"export {name}={shlex.quote(value)}")
    if not is_loopback(host):
        say(f"note: {host} is reached from other machines: whoever has the key reads this mirror, over plain HTTP")
    if not until_stdin_ends:
        say("paste these lines where a script is to read this mirror; Ctrl-C ends")
        say(f"the page, good for once: {exported[BASE_URL]}{entry_path(key)}")
    sys.stdout.flush()
    from mirror.gateway.http.serving import serve

    serve(
        gateway_of(setting, key, read_only=read_only, host=host, with_pages=True),
        listening,
        until=partial(read_to_end, 0) if until_stdin_ends else None,
    )
    return 0
