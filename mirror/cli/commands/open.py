"""`wandb-mirror open`: the page, in a browser."""

from __future__ import annotations

import secrets
import sys
import threading
import urllib.request
import webbrowser
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import click

from mirror.cli.asked_server import BASE_URL
from mirror.cli.gateway_start import check_installed, check_mirrored, gateway_of, variables
from mirror.cli.run_paths import find_run, not_mirrored
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.terminal.output import UTF8, say, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.errors import ConfigError, HomeBusy
from mirror.serve_settings import DEFAULT_LISTEN, listen_address
from mirror.store.engine.reader import Reader
from mirror.store.read.runs import is_held

if TYPE_CHECKING:
    from mirror.gateway.http.key import GatewayKey

PATIENCE_S = 2.0  # that a gateway which runs already may take to show that it is ours


@click.command("open", epilog=exit_statuses(5))
@setting_options
@click.argument("what", type=UTF8, required=False, metavar="[RUN|ENTITY/PROJECT]")
@click.option("--no-browser", is_flag=True, help="Print the address, and start no browser.")
@click.option("--read-only", is_flag=True, help="Refuse every change, if this starts the gateway.")
def command(home: str | None, config: str | None, what: str | None, no_browser: bool, read_only: bool) -> int:
    """Look at the mirror in a browser: runs, curves, what waits, SQL. No network.

    Where the gateway of this home runs already, as `serve` or the daemon start it, its page is opened; else one is
    started, until Ctrl-C. The address is good for once, and for ten minutes.
    """
    check_installed()
    from mirror.gateway.http.key import key_of
    from mirror.web.entry import entry_path

    setting = find_setting(home, config)
    check_mirrored(setting)
    path = _path(setting, what)
    key = key_of(setting.home)
    try:
        host, port = listen_address(setting.config.serve.listen or DEFAULT_LISTEN)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    base = variables(host, port, key)[BASE_URL]
    if port and is_ours(base, key):
        _show(f"{base}{entry_path(key)}&{urlencode({'next': path})}", no_browser=no_browser)
        return 0
    _serve(setting, key, (host, port), path, no_browser=no_browser, read_only=read_only)
    return 0


def is_ours(base: str, key: GatewayKey) -> bool:
    """Whether the gateway of this home answers at an address: who does not have its key cannot show that it is."""
    from mirror.web.entry import PROOF, proof

    challenge = secrets.token_hex(16)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no part in what is local
    try:
        with opener.open(f"{base}{PROOF}?challenge={challenge}", timeout=PATIENCE_S) as answer:
            return bool(answer.read(200).decode("ascii", "replace") == proof(key, challenge))
    except (OSError, ValueError):
        return False


def _serve(
    setting: Setting, key: GatewayKey, address: tuple[str, int], path: str, *, no_browser: bool, read_only: bool
) -> None:
    from mirror.gateway.http.listening import bound
    from mirror.gateway.http.serving import serve
    from mirror.web.entry import entry_path

    host, port = address
    try:
        listening = bound(host, port)
    except (HomeBusy, ConfigError):  # somebody else has the port
        listening = bound(host, 0)
    base = variables(host, listening.getsockname()[1], key)[BASE_URL]
    gateway = gateway_of(setting, key, read_only=read_only, host=host, with_pages=True)
    shown = f"{base}{entry_path(key)}&{urlencode({'next': path})}"
    # The socket listens already: a browser that is faster than the server waits for it.
    threading.Thread(target=_show, args=(shown,), kwargs={"no_browser": no_browser}, daemon=True).start()
    say("Ctrl-C ends")
    serve(gateway, listening)


def _show(address: str, *, no_browser: bool) -> None:
    write(address)
    sys.stdout.flush()
    if not no_browser and not webbrowser.open(address):
        say("no browser was found: open the address in one")


def _path(setting: Setting, what: str | None) -> str:
    """The path of the page of a run or a project."""
    if what is None:
        return "/"
    if what.count("/") == 1 and not what.startswith("/"):
        return "/" + "/".join(quote(part, safe="") for part in what.split("/"))
    found = find_run(what, setting)
    with Reader(setting.home) as lake:
        is_here = is_held(lake, found)
    if not is_here:
        raise not_mirrored(found, setting.home)
    entity, project, run_id = found
    return "/" + "/".join(quote(part, safe="") for part in (entity, project, "runs", run_id))
