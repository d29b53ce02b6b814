"""`wandb-mirror migrate`: move the lake of a home into PostgreSQL and a bucket, or back; compared before the switch."""

from __future__ import annotations

import contextlib
import socket

import click

from mirror.check.moving import Carried, keep_as_copies, objects_home, objects_up
from mirror.cli.first_steps.place import place_in, place_options, placed_text
from mirror.cli.lake import lake_to_write
from mirror.cli.setting import Setting, find_setting, setting_options
from mirror.cli.terminal.output import UTF8, on_terminal, say, size, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.cluster.inspection import check_place
from mirror.cluster.place import has_lake
from mirror.config import load_config
from mirror.daemon.requests.client import daemon_listens
from mirror.durable import write_replace
from mirror.errors import ConfigError, HomeBusy, NotMirrored, Refused
from mirror.layout import Home
from mirror.outbox.group import GroupOutbox, outbox_of
from mirror.sharing import share_with_reader
from mirror.store.care.moving import Part, end_move, move_rows
from mirror.store.engine.connection import store_errors
from mirror.store.engine.storages import storage_of
from mirror.store.engine.writer_lock import WriterLock
from mirror.texts.amounts import plural

HOME = "home"


@click.command("migrate", epilog=exit_statuses(5, 10))
@setting_options
@click.option("--to", "target", type=UTF8, metavar="URL|home", required=True, help="postgresql://… or `home`.")
@place_options
def command(home: str | None, config: str | None, target: str, **place: str | None) -> None:
    """Move the lake of this home into PostgreSQL and a bucket, or from there into this home.

    All rows and objects are copied and compared by their digests; only then does the configuration name the new place.
    What is cut off goes on where it was when it is run again. Earlier states of the lake do not come along. The lake
    that was moved stays where it is until you remove it.
    """
    setting = find_setting(home, config)
    if not has_lake(setting.home):
        raise NotMirrored(f"nothing is mirrored in {setting.home.root} yet", hint="`wandb-mirror init` begins anywhere")
    if daemon_listens(setting.home, say):
        raise HomeBusy(f"a daemon runs in {setting.home.root}", hint="stop it first, and start it after the move")
    said = {} if target == HOME else {**{name: value for name, value in place.items() if value}, "catalog": target}
    if target == HOME and any(place.values()):
        raise click.UsageError("--to home takes no other option: the lake comes into the home")
    if place_in(setting.config.store) == said:
        write("the lake is there already")
        return
    if said and setting.config.store.is_shared:
        raise ConfigError("this home shares a lake already", hint="move it home first, and from there to another place")
    text = placed_text(_text(setting), said, str(setting.config_path))
    carried = _move(setting, text)
    write(
        f"{plural(carried.objects, 'object')} ({size(carried.bytes)}) copied, {plural(carried.there, 'object')} there"
    )
    if said:
        keep_as_copies(setting.home)
        write(f"the lake is in {said['data']} now; {setting.home.lake} is what it was, and may be removed")
    else:
        write(f"the lake is in {setting.home.root} now; the shared one is as it was")


def _move(setting: Setting, text: str) -> Carried:
    """Copy, compare and switch; the configuration of the new place is a file of its own until all is there."""
    new = Home(setting.home.root, setting.home.root / "migrating.toml")
    with store_errors(setting.home):
        write_replace(new.config, text.encode())
    with contextlib.ExitStack() as held:
        held.callback(new.config.unlink, missing_ok=True)
        wanted = load_config(new.config)
        if wanted.store.is_shared:
            check_place(wanted.store)
        held.enter_context(WriterLock(setting.home))
        source = storage_of(setting.home)
        if setting.config.store.is_shared:
            _refuse_what_waits(setting)
            source.open_to_write(held)  # nobody writes it meanwhile
        origin = setting.config.store.catalog or f"{socket.gethostname()}:{setting.home.root}"
        there = Setting(home=new, config=wanted, config_path=new.config)
        target = held.enter_context(lake_to_write(there, is_locked=True, moving=origin))
        moved = move_rows(target, source, _told)
        write(f"{plural(moved.rows, 'row')} are equal in {plural(moved.parts, 'part')}; {moved.copied} were copied")
        carry = objects_up if wanted.store.is_shared else objects_home
        carried = carry(setting.home, new, target)
        end_move(target)
        with store_errors(setting.home):
            write_replace(setting.config_path, text.encode())  # before anybody else may write the lake that was moved
        return carried


def _refuse_what_waits(setting: Setting) -> None:
    """Refuse while operations wait in the group: another machine delivers them.

    Raises:
        Refused: some do.
    """
    outbox = outbox_of(setting.home)
    if isinstance(outbox, GroupOutbox):
        share_with_reader(outbox)
    if waiting := sum(1 for placed in outbox.entries() if placed.entry.author is not None):
        raise Refused(
            f"{plural(waiting, 'operation')} of the group wait, which another machine delivers",
            hint="wait until they are delivered, or `wandb-mirror outbox drop` them; then move",
        )


def _text(setting: Setting) -> str:
    try:
        return setting.config_path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _told(part: Part, was_copied: bool) -> None:
    if on_terminal():
        say(f"{'copied' if was_copied else 'there '}  {part.said}")
