"""The prompt of `wandb-mirror sql`: statements end with a semicolon, words with a dot are for the prompt."""

from __future__ import annotations

import contextlib
import time

from mirror.cli.terminal.output import say, say_hint
from mirror.cli.terminal.results import show
from mirror.errors import MirrorError
from mirror.store.engine.connection import Engine
from mirror.store.read.sql import run_sql
from mirror.store.read.sql_guard import SqlGuard

WELCOME = "SQL over the mirror, read-only. End a statement with ;  .tables lists the views, .quit leaves."
PROMPT, CONTINUED = "mirror> ", "   ...> "
TABLES = "SELECT view_name AS name, column_count AS columns FROM duckdb_views() WHERE NOT internal ORDER BY 1"


def prompt(engine: Engine, guard: SqlGuard | None) -> None:
    """Read statements and print their answers until the end of input."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 — gives input() its editing and history
    say(WELCOME)
    pending = ""
    while True:
        try:
            line = input(CONTINUED if pending else PROMPT)
        except EOFError:
            say("")
            return
        except KeyboardInterrupt:
            pending = ""
            say("")
            continue
        if not pending and line.strip() in {".quit", ".exit"}:
            return
        pending = f"{pending}\n{TABLES if line.strip() == '.tables' else line}".strip()
        if pending.endswith(";") or line.strip() == ".tables":
            answer(engine, guard, pending)
            pending = ""


def answer(engine: Engine, guard: SqlGuard | None, text: str) -> None:
    """Print the answer of one statement, or its error; the prompt goes on either way."""
    started = time.monotonic()
    try:
        show(run_sql(engine, text, guard=guard), "table")
        say(f"{time.monotonic() - started:.2f} s")
    except MirrorError as error:
        say(f"error: {error.message}")
        if error.hint:
            say_hint(error.hint)
    except KeyboardInterrupt:
        engine.interrupt()
        say("interrupted")
