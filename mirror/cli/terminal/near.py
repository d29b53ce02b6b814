"""A command that was mistyped: what is near it is named, the usage follows, the status is 2."""

from __future__ import annotations

import difflib

import click

from mirror.texts.visible import visible

OFFERED = 3


class NearNames(click.Group):
    """A group that offers what a mistyped command may be meant for."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command.

        Raises:
            click.UsageError: there is none of this name.
        """
        name = args[0]
        if name.startswith("-") or ctx.resilient_parsing or name in self.list_commands(ctx):
            return super().resolve_command(ctx, args)
        near = difflib.get_close_matches(name.lower(), self.list_commands(ctx), n=OFFERED)
        offered = f" Did you mean {' or '.join(near)}?" if near else ""
        raise click.UsageError(f"No such command '{visible(name)}'.{offered}", ctx)
