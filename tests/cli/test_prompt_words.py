"""What the prompt of `sql` makes of what is typed: where statements end, what may stand at the cursor."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.cli.prompt.places import Place, place_of
from mirror.cli.prompt.statements import is_finished, lex, split


@pytest.mark.parametrize(
    ("typed", "finished"),
    [
        ("", True),
        ("  \n ", True),
        (".tables", True),
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1;\n  -- done", True),
        ("SELECT 1; /* done */ ", True),
        ("SELECT 1; /* not yet;", False),
        ("SELECT 1; SELECT 2", False),
        ("SELECT ';'", False),
        ("SELECT 'it''s;", False),
        ("SELECT 'it''s';", True),
        ('SELECT 1 AS ";"', False),
        ("SELECT 1 -- ;", False),
        ("SELECT 1 /* ; /* nested */ ; */", False),
        ("SELECT $$;$$", False),
        ("SELECT $a$;$$;$a$;", True),
        ("SELECT e'\\';'", False),
        ("SELECT 'C:\\';", True),
        (";", True),
    ],
)
def test_enter_answers_where_a_statement_is_whole(typed: str, finished: bool) -> None:
    assert is_finished(typed) is finished


def test_statements_are_told_apart_where_they_end() -> None:
    typed = "SELECT ';' AS a; ;\nSELECT 2 -- ; no\n; SELECT 3"
    assert split(typed) == (["SELECT ';' AS a", "SELECT 2 -- ; no"], "SELECT 3")


PIECES = ["SELECT 1", ";", " ", "'", '"', "--", "\n", "/*", "*/", "$$", "$t$", "x", "e'", "\\", "''", "a.b"]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_statements_end_where_duckdb_ends_them(text: str) -> None:
    """Whatever parses has as many statements for us as for DuckDB."""
    try:
        parsed = duckdb.extract_statements(text)
    except duckdb.Error:
        return
    statements, rest = split(text)
    behind = lex(text).code[lex(text).ends[-1] + 1 if lex(text).ends else 0 :].strip()
    found = [one for one in [*statements, rest] if lex(one).code.strip()]
    assert len(found) == len(parsed), (statements, rest)
    assert is_finished(text) is (not text.strip() or bool(lex(text).ends and not behind))


@pytest.mark.parametrize(
    ("before", "place"),
    [
        ("SELECT lo", Place(kind="word", begun="lo")),
        ("SELECT 1; FROM ru", Place(kind="table", begun="ru")),
        ("SELECT * FROM runs r JOIN metr", Place(kind="table", begun="metr")),
        ("DESCRIBE ", Place(kind="table")),
        (".schema me", Place(kind="table", begun="me")),
        (
            "SELECT * FROM runs AS r WHERE r.st",
            Place(kind="column", begun="st", qualifier="r", tables={"runs": "runs", "r": "runs"}),
        ),
        (
            "FROM Metrics WHERE KEY = 'val/a",
            Place(kind="text", begun="val/a", column="key", tables={"metrics": "metrics"}),
        ),
        ("FROM runs WHERE state IN ('a', 'b", Place(kind="text", begun="b", column="state", tables={"runs": "runs"})),
        ("SELECT config->>'l", Place(kind="text", begun="l", column="config")),
        ("SELECT r.config -> 'l", Place(kind="text", begun="l", column="config")),
        ("SELECT config('l", Place(kind="text", begun="l", column="config")),
        ('FROM runs WHERE "group" LIKE \'', Place(kind="text", column="group", tables={"runs": "runs"})),
        ("SELECT 'free ", Place(kind="text", begun="free ")),
        ("SELECT 1 -- co", Place(kind="nothing")),
        ("SELECT /* co", Place(kind="nothing")),
        ("SELECT 'FROM runs' AS a, b", Place(kind="word", begun="b")),
        ('FROM runs SELECT "gro', Place(kind="word", begun='"gro', tables={"runs": "runs"})),
    ],
)
def test_what_may_stand_at_the_cursor(before: str, place: Place) -> None:
    assert place_of(before) == place


def test_tables_behind_the_cursor_count() -> None:
    assert place_of("SELECT lo", " FROM metrics m; FROM runs").tables == {"metrics": "metrics", "m": "metrics"}


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.text(max_size=5))
def test_no_text_is_too_odd(before: str, after: str) -> None:
    assert before.endswith(place_of(before, after).begun)
