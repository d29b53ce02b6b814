"""`wandb-mirror completion`: the script with which a shell completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mirror.cli.terminal.output import write_lines
from mirror.cli.terminal.statuses import exit_statuses

PROGRAM = "wandb-mirror"
ASKED_BY = "_WANDB_MIRROR_COMPLETE"  # click's name for the variable with which the script asks this program


@click.command("completion", epilog=exit_statuses())
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in a SHELL: bash (4.4 or later), zsh, fish.

    \b
    For good, in the file that the shell reads when it starts:
      eval "$(wandb-mirror completion bash)"       in ~/.bashrc
      eval "$(wandb-mirror completion zsh)"        in ~/.zshrc, behind compinit
      wandb-mirror completion fish | source        in ~/.config/fish/config.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    write_lines(found(ctx.find_root().command, {}, PROGRAM, ASKED_BY).source().strip("\n"))
