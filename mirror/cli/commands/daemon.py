"""`wandb-mirror daemon`: pull when it is time, deliver what is asked, for as long as it runs."""

from __future__ import annotations

import faulthandler

import anyio
import click

from mirror.cli.asked_server import refuse_gateway
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.statuses import exit_statuses
from mirror.config import load_config
from mirror.daemon.app import Daemon
from mirror.daemon.logs import Log


@click.command("daemon", epilog=exit_statuses(4, 10))
@setting_options
@click.option("--log", "form", type=click.Choice(["auto", "json", "text"]), default="auto", help="Form of the log.")
def command(home: str | None, config: str | None, form: str) -> int:
    """Run until stopped: pull every source when it is time, and deliver what is asked as soon as the server is there.

    Logs go to standard error: JSON lines, or lines for people on a terminal. SIGHUP or an edited configuration file
    reloads it. SIGTERM or Ctrl-C ends after what is under way, a second one at once. `wandb-mirror status` tells how
    it is; `wandb-mirror unit` prints units for systemd.
    """
    faulthandler.enable()  # where a library of ours crashes the process, the log has the stacks
    setting = find_setting(home, config)
    refuse_gateway(setting.config, setting.home)
    log = Log(readable=None if form == "auto" else form == "text")
    daemon = Daemon(setting.home, setting.config_path, lambda: load_config(setting.config_path), log)
    anyio.run(daemon.run)
    return 0
