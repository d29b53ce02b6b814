"""What a tab offers: tables, their columns, keys that runs logged, words of SQL. Asked beside the prompt's queries."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterable, Iterator
from functools import cached_property

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from mirror.cli.prompt.places import Place, place_of
from mirror.errors import MirrorError
from mirror.store.engine.connection import Engine
from mirror.store.sql.catalogue import Column, table_columns, texts_of, words_of_sql
from mirror.texts.visible import visible

DOT_COMMANDS = (".help", ".quit", ".schema", ".tables")
_TEXT_TABLES = {"key": "metrics"}  # of a column that several tables have, where the statement names none of them
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


class SqlCompleter(Completer):
    """Completes statements over the mirror.

    Args:
        engine: a cursor of its own, for what is asked here must not disturb a query.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._texts: dict[tuple[str, str], list[str]] = {}
        self._asking = threading.Lock()  # a further tab does not wait for the first one's answer

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """What may stand at the cursor; nothing where the mirror cannot be asked."""
        before, after = document.text_before_cursor, document.text_after_cursor
        if before.lstrip().startswith(".") and " " not in before.strip():
            yield from _offered(DOT_COMMANDS, before.lstrip())
            return
        found: list[Completion] = []
        with self._asking, contextlib.suppress(MirrorError):
            found = list(self._at(place_of(before, after), after))
        yield from found

    def _at(self, place: Place, after: str) -> Iterator[Completion]:
        if place.kind == "text":
            end = "" if after.startswith("'") else "'"
            quoted = (f"{text}{end}" for text in (one.replace("'", "''") for one in self._texts_at(place)))
            yield from _offered(quoted, place.begun, exact=True)
        elif place.kind == "table":
            yield from _offered(self._tables, place.begun, meta="table")
        elif place.kind == "column":
            table = place.tables.get(place.qualifier, place.qualifier)
            yield from self._columns([table], place.begun)
        elif place.kind == "word":
            named = [table for table in place.tables.values() if table in self._tables]
            found = list(self._columns(named or self._tables, place.begun))
            if place.begun:
                found += _offered(self._tables, place.begun, meta="table")
            yield from found or _offered(self._words[0], place.begun)  # of many words none hides a column

    def _columns(self, tables: Iterable[str], begun: str) -> Iterator[Completion]:
        columns = {column.name: column.type for table in tables for column in self._tables.get(table, [])}
        for name, kind in columns.items():
            yield from _offered([self._typed(name)], begun, meta=kind)

    def _texts_at(self, place: Place) -> list[str]:
        """Texts for the column that stands before the cursor, of the table of the statement that has them."""
        tables = [*place.tables.values(), *([_TEXT_TABLES.get(place.column, "runs")] if not place.tables else [])]
        for table in dict.fromkeys("runs" if table == "runs_upstream" else table for table in tables):
            if (table, place.column) not in self._texts:
                found = texts_of(self._engine, table, place.column)
                self._texts[table, place.column] = [text for text in found if visible(text) == text]
            if texts := self._texts[table, place.column]:
                return texts
        return []

    def _typed(self, name: str) -> str:
        """A column as it is typed: with quotes, if SQL would take it for a word of its own."""
        return name if _PLAIN.fullmatch(name) and name not in self._words[1] else f'"{name}"'

    @cached_property
    def _tables(self) -> dict[str, list[Column]]:
        return table_columns(self._engine)

    @cached_property
    def _words(self) -> tuple[list[str], frozenset[str]]:
        return words_of_sql(self._engine)


def _offered(words: Iterable[str], begun: str, *, exact: bool = False, meta: str = "") -> Iterator[Completion]:
    """Those that begin as what is typed; names and words have no case and may be typed with a quote."""
    typed = begun if exact else begun.lower().strip('"')
    for word in words:
        if (word if exact else word.lower().strip('"')).startswith(typed):
            yield Completion(word, start_position=-len(begun), display_meta=meta)
