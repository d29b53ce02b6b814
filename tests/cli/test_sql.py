"""`wandb-mirror sql`: every form of an answer, and every way to ask wrongly."""

from __future__ import annotations

import csv
import io
import subprocess

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Cli

QUERY = "SELECT run_id, summary->>'loss' AS loss, tags FROM runs WHERE project = 'proj' ORDER BY 1"


def test_csv_holds_exact_values(filled: Cli) -> None:
    said = filled(
        "sql", "SELECT 0.1234567890123456e0 AS d, 'a\nb' AS t, 'NaN'::DOUBLE AS n, NULL AS nothing", "--csv", code=0
    )
    assert list(csv.reader(io.StringIO(said.out))) == [
        ["d", "t", "n", "nothing"],
        ["0.1234567890123456", "a\nb", "NaN", ""],
    ]


def test_a_query_is_read_from_standard_input(filled: Cli) -> None:
    said = filled("sql", "--csv", stdin="-- a comment\nSELECT 'é☃' AS text;\n", code=0)
    assert said.out == "text\né☃\n"


def test_a_table_is_as_wide_as_its_values_where_no_terminal_reads_it(filled: Cli) -> None:
    said = filled("sql", f"SELECT '{'x' * 300}' AS long, 1 AS one", code=0)
    assert "x" * 300 in said.out


@pytest.mark.parametrize("columns", [1, 200], ids=["a table", "many columns"])
def test_a_value_of_any_length_does_not_widen_a_table_without_end(filled: Cli, columns: int) -> None:
    long = "repeat('x', 100_000)"
    more = "".join(f", {number} AS c{number}" for number in range(1, columns))
    query = f"SELECT * FROM (SELECT unnest([{long}, 'short']) AS a, [{long}] AS b{more})"
    said = filled("sql", query, code=0)
    assert max(map(len, said.out.splitlines())) < 10_000
    assert len(said.out) < 50_000
    assert said.err == "3 values cut after 1,000 characters; --json has them whole\n"
    assert len(filled("sql", query, "--json", code=0).json[0]["a"]) == 100_000
    assert len(filled("sql", query, "--csv", code=0).out) > 300_000


def test_parquet_holds_the_answer_whole(filled: Cli) -> None:
    said = filled("sql", QUERY, "--output", "it's.parquet", code=0)
    assert said.err == "wrote it's.parquet (3 rows)\n"
    assert pq.read_table(filled.folder / "it's.parquet").column("run_id").to_pylist() == ["r1", "r2", "r3"]
    assert [path.name for path in filled.folder.glob(".tmp-*")] == []


@pytest.mark.parametrize(
    ("form", "shown"), [("--json", "[]\n"), ("--csv", "run_id\n"), ("--table", "run_id\n──────\n")]
)
def test_an_answer_without_rows_is_well_formed(filled: Cli, form: str, shown: str) -> None:
    assert filled("sql", "SELECT run_id FROM runs WHERE false", form, code=0).out == shown


def test_columns_of_one_name_are_all_kept(filled: Cli) -> None:
    assert filled("sql", "SELECT 1 AS a, 2 AS a, 3 AS a_1", "--json", code=0).json == [{"a": 1, "a_1": 2, "a_1_1": 3}]


def test_a_syntax_error_is_one_line_and_a_pointer(filled: Cli) -> None:
    said = filled.fails(3, "sql", "SELEC 1")
    assert said.error == 'error: Parser Error: syntax error at or near "SELEC"'
    assert said.hint == "LINE 1: SELEC 1\n              ^\n"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT nope FROM runs", 'column "nope" not found'),
        ("SELECT display_name::INT FROM runs", "Could not convert"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("DELETE FROM runs", "read-only"),
        ("UPDATE lake.runs SET state = 'x'", "read-only"),
        ("DROP TABLE lake.runs", "read-only"),
        (b"SELECT '\xff'", "the query is not UTF-8 text"),
    ],
)
def test_a_query_that_cannot_be_answered_says_why(filled: Cli, query: str | bytes, expected: str) -> None:
    assert expected in filled.fails(3, "sql", query).error


def test_an_empty_query_is_a_wrong_command_line(filled: Cli) -> None:
    assert "the query is empty" in filled("sql", " ", code=2).err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--output", "x.csv"], "must end in .parquet"),
        (["--output", "x.parquet", "--json"], "no other form"),
        (["--output", "no/where/x.parquet"], "there is no folder no/where"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(filled: Cli, options: list[str], expected: str) -> None:
    assert expected in filled.fails(3, "sql", "SELECT 1", *options).error


def test_a_reader_that_has_enough_ends_the_program_quietly(filled: Cli) -> None:
    query = "SELECT i, repeat('x', 100) AS text FROM range(100000) t(i)"
    with filled.start("sql", query, "--csv", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"i,text\n"
        process.stdout.close()
        said = process.stderr.read()
        assert (process.wait(), said) == (0, b"")
