"""The prompt: reads statements with completion and a history, answers them, and goes on until the end of input."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from functools import partial
from itertools import islice
from typing import Any

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.output import create_output

from mirror.cli.prompt.completer import SqlCompleter
from mirror.cli.prompt.dot_commands import Rows, answer_dot
from mirror.cli.prompt.history_file import prepared
from mirror.cli.prompt.running import QueryStopped, stoppable
from mirror.cli.prompt.statements import is_finished, split
from mirror.cli.terminal.output import say, say_hint, say_lines
from mirror.cli.terminal.results import TABLE_ROWS, show
from mirror.cli.terminal.tables import table_text
from mirror.errors import MirrorError
from mirror.layout import Home
from mirror.store.engine.connection import Engine
from mirror.store.sql.guard import SqlGuard
from mirror.store.sql.statements import run_sql
from mirror.texts.amounts import plural

WELCOME = "SQL over the mirror, read-only. ; ends a statement, .help helps, .quit leaves."
PROMPT, CONTINUED = "mirror> ", "   ...> "
LEAVING = (".quit", ".exit")


def prompt(home: Home, engine: Engine, guard: SqlGuard | None, form: str) -> None:
    """Read statements and print their answers until the end of input.

    Args:
        home: where the history of what is typed is kept, if it can be written.
        engine: of the mirror.
        guard: refuses what does more than read; None: everything runs.
        form: of the answers: `table`, `json` or `csv`.
    """
    beside = engine.cursor()
    session = _session(home, SqlCompleter(beside))
    say(WELCOME)
    try:
        while True:
            try:
                typed = session.prompt().strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if typed.rstrip("; ") in LEAVING:
                return
            _answer_all(engine, guard, typed, form)
    finally:
        beside.interrupt()  # a tab may still wait for an answer
        beside.close()


def _session(home: Home, completer: SqlCompleter) -> PromptSession[str]:
    """The prompt speaks where remarks are printed, so that answers can go into a file."""
    return PromptSession(
        PROMPT,
        multiline=Condition(lambda: not is_finished(get_app().current_buffer.text)),
        prompt_continuation=_continued,
        completer=completer,
        complete_while_typing=False,
        complete_in_thread=True,
        history=_history(home),
        output=create_output(stdout=sys.stderr if sys.stderr.isatty() else sys.stdout),
    )


def _continued(_width: int, _number: int, is_wrapped: int) -> str:
    """What stands before a further line; a line that is too long for the screen is still the same one."""
    return " " * len(CONTINUED) if is_wrapped else CONTINUED


def _history(home: Home) -> History:
    """What was typed in earlier sessions; in a folder that cannot be written, of this one alone."""
    with contextlib.suppress(OSError):
        return FileHistory(os.fspath(prepared(home.sql_history)))
    return InMemoryHistory()


def _answer_all(engine: Engine, guard: SqlGuard | None, typed: str, form: str) -> None:
    """Answer what was typed, statement by statement, up to the first that fails."""
    if typed.startswith("."):
        _answer(partial(_show_dot, engine, typed))
        return
    statements, _ = split(typed)
    for text in statements:
        if not _answer(partial(_show_statement, engine, guard, text, form)):
            return


def _answer(answering: partial[None]) -> bool:
    """Print one answer, or its error; the prompt goes on either way.

    Returns:
        Whether it went well.
    """
    try:
        answering()
    except (QueryStopped, KeyboardInterrupt):
        say("stopped")
    except BrokenPipeError:  # the pager had enough
        return True
    except MirrorError as error:
        say(f"error: {error.message}")
        if error.hint:
            say_hint(error.hint)
    else:
        return True
    return False


def _show_dot(engine: Engine, typed: str) -> None:
    answer = stoppable(engine, partial(answer_dot, engine, typed))
    if isinstance(answer, Rows):
        _page(table_text(answer.names, answer.rows))
    else:
        say_lines(answer)


def _show_statement(engine: Engine, guard: SqlGuard | None, text: str, form: str) -> None:
    started = time.monotonic()
    if form != "table":
        stoppable(engine, lambda: show(run_sql(engine, text, guard=guard), form))
        say(f"{time.monotonic() - started:.2f} s")
        return
    names, rows = stoppable(engine, partial(_first_rows, engine, guard, text))
    took = f"{time.monotonic() - started:.2f} s"
    shown = rows[:TABLE_ROWS]
    if shown or names:
        _page(table_text(names, shown))
    if len(rows) > TABLE_ROWS:
        say(f"the first {plural(TABLE_ROWS, 'row')}, {took}; a LIMIT chooses others")
    else:
        say(f"{plural(len(rows), 'row') if rows else 'no rows'}, {took}")


def _first_rows(engine: Engine, guard: SqlGuard | None, text: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The names of the columns, and one row more than is shown, to know whether there are others."""
    result = run_sql(engine, text, guard=guard)
    return [column.name for column in result.columns], list(islice(result.rows(), TABLE_ROWS + 1))


def _page(text: str) -> None:
    """Print an answer; one that is longer than the screen goes through the pager."""
    if sys.stdout.isatty() and text.count("\n") > shutil.get_terminal_size().lines - 2:
        click.echo_via_pager(text)
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
