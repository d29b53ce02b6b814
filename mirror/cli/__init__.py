"""The command line: one short file a command. The only place that knows click and rich.

Answers go to standard output, everything said on the way to standard error. `--json` is a contract (docs/json.md).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mirror.cli.terminal.near import NearNames
from mirror.cli.terminal.output import say, say_hint, use_utf8
from mirror.cli.terminal.statuses import MEANINGS, exit_statuses
from mirror.durable import FULL
from mirror.errors import MirrorError, StoreError
from mirror.left_out import leave_out
from mirror.private import UMASK
from mirror.texts.visible import visible

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "init": "Set up a home: write its configuration and check the key.",
    "pull": "Bring the mirror up to date with W&B.",
    "status": "Say how far each project is mirrored; no network.",
    "runs": "List mirrored runs; no network.",
    "show": "Show one mirrored run whole; no network.",
    "open": "Look at the mirror in a browser; no network.",
    "history": "Show or draw what a run logged step by step; no network.",
    "compare": "Show in what runs differ, and their curves; no network.",
    "code": "Print the program of a run, or its packages; no network.",
    "checkout": "Write the files of a run into a folder; no network.",
    "sql": "Answer SQL over the mirror; no network.",
    "export": "Write a project as pages that need no server; no network.",
    "add": "Take in runs that were trained offline; no network.",
    "edit": "Change a run; queued until it is delivered; no network.",
    "upload": "Put files into a run; queued until delivered; no network.",
    "outbox": "See what waits to be delivered, and decide conflicts.",
    "replay": "Deliver what waits in the outbox to W&B.",
    "migrate": "Move the lake into PostgreSQL and a bucket, or back.",
    "maintain": "Merge small files, and remove what nothing needs; no network.",
    "verify": "Read everything again, and say what is wrong; no network.",
    "repair": "Have damaged files fetched again by the next pull.",
    "daemon": "Pull when it is time, deliver what is asked, for months.",
    "exec": "Run a command whose `wandb` reads this mirror; no network.",
    "serve": "Answer W&B's own API from this mirror; no network.",
    "unit": "Print a unit for systemd: the daemon, or a timer.",
    "completion": "Print the script for completion in bash, zsh or fish.",
    "doctor": "Check key, server, clock, disk, file system and extensions.",
    "demo": "Train, mirror, go offline, ask, edit, deliver: the whole story.",
}

# The others may write files that the user asked for, as open as he wants them.
WRITE_HOME = frozenset(
    {
        "init", "pull", "add", "edit", "upload", "outbox", "replay", "migrate", "maintain", "repair", "daemon", "serve",
        "open",
    }
)  # fmt: skip

NUMERIC = frozenset({"demo"})  # computes with NumPy

INTERRUPTED = "Query interrupted"  # what DuckDB makes of Ctrl-C
DEBUG_VARIABLE = "WANDB_MIRROR_DEBUG"


class Program(NearNames):
    """A group whose commands are imported when they are used, so that each starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in NUMERIC:
            leave_out()
        found = importlib.import_module(f"mirror.cli.commands.{cmd_name}").command
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; one that writes nothing but a home writes it for its owner alone."""
        found = super().resolve_command(ctx, args)
        if found[0] in WRITE_HOME:
            os.umask(UMASK)
        return found

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Read the command line; whoever has read enough of the help has read enough."""
        try:
            return super().make_context(*arguments, **options)
        except BrokenPipeError:
            _forget_output()
            raise click.exceptions.Exit(0) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What may stand where a shell asks; commands are named without importing them."""
        from click.shell_completion import CompletionItem

        named = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that has enough (`… | head`) ends it quietly, Ctrl-C with one line."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except (KeyboardInterrupt, RuntimeError) as error:
            if isinstance(error, RuntimeError) and str(error) != INTERRUPTED:
                raise
            say("interrupted; nothing is lost, the same command goes on where it stopped")
            return 130
        except BrokenPipeError:
            _forget_output()
            return 0
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Program, epilog=exit_statuses(*MEANINGS), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wandb-mirror", prog_name="wandb-mirror")
@click.option("--home", type=click.Path(), help="The mirror's directory (else WANDB_MIRROR_HOME).")
@click.option("--config", type=click.Path(), help="Another configuration file than HOME/mirror.toml.")
@click.pass_context
def program(ctx: click.Context, home: str | None, config: str | None) -> None:
    """A local mirror of Weights & Biases: pull once, then ask without a network."""
    ctx.obj = {"home": home, "config": config}


def main() -> None:
    """Run the program: one clear line for what went wrong, a hint, and an exit code; never a traceback."""
    try:
        use_utf8()
        code = program.main(prog_name="wandb-mirror", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:  # a group without a command
        _end(error.exit_code, error.show)
    except click.ClickException as error:
        _end(error.exit_code, show_misuse, error)
    except (click.Abort, KeyboardInterrupt):
        _end(130, say, "interrupted; nothing is lost, the same command goes on where it stopped")
    except MirrorError as error:
        _end(error.exit_code, show_error, error)
    except OSError as error:
        if error.errno not in FULL or error.filename is not None:
            _end(1, show_defect, error)
        _forget_output()
        _end(StoreError.exit_code, say, "error: the answer cannot be written: no space is left where it goes")
    except Exception as error:
        _end(1, show_defect, error)


def _end(status: int, tell: Callable[..., object], *told: object) -> NoReturn:
    """Say why, and end; that nobody reads it changes no status."""
    try:
        tell(*told)
    except BrokenPipeError:
        _forget_output(2)
    sys.exit(status)


def _forget_output(stream: int = 1) -> None:
    """Let what could not be written go, or Python tries once more at the end and makes another exit status of it."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def show_misuse(error: click.ClickException) -> None:
    """How the command is used, and what is wrong; what was typed may have been copied from anywhere."""
    lines = (
        error.format_message().split("\n") if isinstance(error, click.MissingParameter) else [error.format_message()]
    )
    message = "\n".join(visible(line.replace("\t", "  ")) for line in lines)
    context = error.ctx if isinstance(error, click.UsageError) else None
    click.UsageError(message, context).show()


def show_error(error: MirrorError) -> None:
    """One line, and the hint below it."""
    say(f"error: {error.message}")
    if error.hint:
        say_hint(error.hint)
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)


def show_defect(error: Exception) -> None:
    """Something that should not happen: say so, and how to see more."""
    first: BaseException = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    say(f"error: a defect of wandb-mirror: {type(first).__name__}: {first}".splitlines()[0])
    say(f"hint: please report it with what {DEBUG_VARIABLE}=1 shows; the mirror stays at its last commit")
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
