"""`wandb-mirror sql`: every form of an answer, and every way to ask wrongly."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mirror.errors import MirrorError
from mirror.layout import Home
from mirror.run.sql import connect
from mirror.store.sql.guard import SqlGuard
from mirror.store.sql.statements import run_sql, write_parquet
from mirror.store_settings import StoreSettings
from tests.cli.conftest import Cli
from tests.soaking import thin

QUERY = "SELECT run_id, summary->>'loss' AS loss, tags FROM runs WHERE project = 'proj' ORDER BY 1"


def test_csv_holds_exact_values(filled: Cli) -> None:
    said = filled(
        "sql", "SELECT 0.1234567890123456e0 AS d, 'a\nb' AS t, 'NaN'::DOUBLE AS n, NULL AS nothing", "--csv", code=0
    )
    assert list(csv.reader(io.StringIO(said.out))) == [
        ["d", "t", "n", "nothing"],
        ["0.1234567890123456", "a\nb", "NaN", ""],
    ]


def test_it_keeps_within_the_memory_and_threads_of_the_configuration(filled: Cli, tmp_path: Path) -> None:
    names = ("memory_limit", "threads", "preserve_insertion_order")
    query = "SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in names)
    small = tmp_path / "small.toml"
    small.write_text("[store]\nmemory_limit_mb = 300\nthreads = 3\n")
    (said,) = filled("sql", query, "--json", "--config", str(small), code=0).json
    assert said == {"memory_limit": "286.1 MiB", "threads": 3, "preserve_insertion_order": True}
    small.write_text("")
    (said,) = filled("sql", query, "--json", "--config", str(small), code=0).json
    assert said == {"memory_limit": "976.5 MiB", "threads": os.cpu_count(), "preserve_insertion_order": True}


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


def files_in(cli: Cli) -> list[str]:
    """Files below the folder, but for those that SQLite makes beside an open catalog and what is kept of the server."""
    passing = ("-wal", "-shm", "server.json")
    return sorted(str(path) for path in cli.folder.rglob("*") if not path.name.endswith(passing))


REFUSED = (
    "COPY (SELECT 1) TO 'x.csv'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.csv'",
    "EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO 'x.csv'",
    "EXPLAIN EXPLAIN COPY (SELECT 1) TO 'x.csv'",
    "PREPARE q AS COPY (SELECT 1) TO 'x.csv'",
    "EXPORT DATABASE 'x.csv'",
    "ATTACH 'x.csv'",
    "DETACH lake",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "FROM glob('/etc/*')",
    "FROM sqlite_scan('/etc/passwd', 't')",
    "DROP VIEW runs",
    "CREATE OR REPLACE VIEW runs AS SELECT 1",
    "CREATE PERSISTENT SECRET s (TYPE s3)",
    "SELECT 1; DROP VIEW runs",
    "DELETE FROM lake.runs",
    "UPDATE lake.runs SET notes = 'x'",
    "FROM ducklake_cleanup_old_files('lake', cleanup_all => true)",
    "CALL ducklake_expire_snapshots('lake', older_than => now())",
    "FROM query('FROM ducklake_cleanup_' || 'old_files(''lake'')')",
    "FROM \"query\"('SELECT 1')",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "PRAGMA profiling_output = 'x.csv'",
    "CHECKPOINT lake",
    "EXPLAIN /**/ ANALYZE COPY (SELECT 1) TO 'x.csv'",
    "EXPLAIN --x\n ANALYZE COPY (SELECT 1) TO 'x.csv'",
    "EXPLAIN ANALYZE DROP VIEW runs",
    "SELECT 1) TO 'x.csv' (FORMAT csv); COPY (SELECT 1",
    "FROM query/**/('FROM ducklake_cleanup_' || 'old_files(''lake'')')",
    "FROM query --x\n ('SELECT 1')",
    "FROM lake.expire_snapshots(older_than => now())",
    "FROM lake . /* */ merge_adjacent_files()",
    "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "PRAGMA json_execute_serialized_sql('x')",
    "PRAGMA import_database('x.csv')",
    "FROM enable_logging('QueryLog', storage='file', storage_path='x.csv')",
    "FROM sqlite_attach('x.csv')",
    "FROM sqlite_query('__ducklake_metadata_lake', 'SELECT 1')",
    "FROM arrow_scan(1, 2, 3)",
    "CREATE TEMP MACRO f() AS TABLE SELECT * FROM query('SELECT 1')",
    "FROM U&\"\\0071uery\"('SELECT 1')",
    "SELECT 'unterminated",
)
# One of each fence; all of them are asked of one connection below, and typed with `-m soak`.
TYPED = [
    "COPY (SELECT 1) TO 'x.csv'", "SELECT * FROM read_text('/etc/passwd')", "SELECT 1; DROP VIEW runs",
    "FROM query('FROM ducklake_cleanup_' || 'old_files(''lake'')')", "SELECT 'unterminated",
]  # fmt: skip


@pytest.mark.parametrize("query", thin(REFUSED, keep=TYPED))
@pytest.mark.parametrize("output", [(), ("--output", "out.parquet")], ids=["shown", "written"])
def test_a_query_writes_nothing_and_reads_no_file_but_the_mirrors(
    filled: Cli, query: str, output: tuple[str, ...]
) -> None:
    before = files_in(filled)
    said = filled("sql", query, *output)
    assert said.code in (2, 3)
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert len(said.err.splitlines()) < 5
    assert files_in(filled) == before


def test_one_connection_refuses_them_all_and_goes_on(filled: Cli, tmp_path: Path) -> None:
    home, before = Home(filled.home), files_in(filled)
    with connect(home, settings=StoreSettings(threads=1)) as engine:
        guard = SqlGuard(engine, home)
        for query in REFUSED:
            with pytest.raises(MirrorError):
                list(run_sql(engine, query, guard=guard).rows())
            with pytest.raises(MirrorError):
                write_parquet(engine, query, tmp_path / "out.parquet", guard=guard)
        assert list(run_sql(engine, "SELECT count(*) AS n FROM runs", guard=guard).plain_rows()) == [{"n": 4}]
    assert files_in(filled) == before
    assert list(tmp_path.iterdir()) == []


READ = (
    "PIVOT runs ON state USING count(*) GROUP BY project",
    "FROM (PIVOT runs ON state USING count(*))",
    "SUMMARIZE runs",
    "DESCRIBE runs",
    "SHOW TABLES",
    "PRAGMA table_info('runs')",
    "EXPLAIN ANALYZE SELECT * FROM metrics",
    "/* a comment first */ FROM runs",
    "SELECT count(*) FROM metrics JOIN files USING (run_id)",
    "SELECT 'COPY this, ATTACH that' AS words",
    "PIVOT runs ON state USING count(*) GROUP BY project;",
    "FROM console_lines WHERE line LIKE '%query (%' OR line = $$COPY read_text($$",
    "EXPLAIN (FORMAT json) SELECT 1;",
    "FROM lake.snapshots()",
    "SELECT summary, unnest(tags), range(3) FROM runs",
)


@pytest.mark.parametrize("query", thin(READ, keep=[READ[0], READ[2], READ[5]]))
def test_whatever_only_reads_is_answered(filled: Cli, query: str) -> None:
    assert filled("sql", query, code=0).out


MISLEADING = (
    ("BEGIN", "BEGIN is refused: each statement sees one whole commit by itself"),
    ("START TRANSACTION", "START is refused"),
    ("ROLLBACK", "ROLLBACK is refused"),
    ("USE lake", "names mean the mirror's views"),
    ("SET schema = 'lake'", "names mean the mirror's views"),
    ("SET SESSION search_path = 'lake'", "names mean the mirror's views"),
    ("SET threads = 1", "sql keeps its settings"),
    ("RESET TimeZone", "sql keeps its settings"),
    ("PRAGMA threads = 1", "sql keeps its settings"),
    ("SET VARIABLE x = 1", "SET is for later statements, and there are none"),
    ("CREATE TEMP TABLE t AS FROM runs", "CREATE is for later statements, and there are none"),
    ("CREATE TEMP VIEW runs AS SELECT 1", "runs is the mirror's own"),
    ('CREATE OR REPLACE TEMP VIEW temp.main."Runs" AS SELECT 1', "runs is the mirror's own"),
    ("CREATE TEMP TABLE IF NOT EXISTS metrics (a INT)", "metrics is the mirror's own"),
    ("CREATE TEMP MACRO num(a, b) AS 1", "num is the mirror's own"),
)


def test_one_connection_refuses_what_has_no_use_or_confuses_later_statements(filled: Cli, tmp_path: Path) -> None:
    home = Home(filled.home)
    with connect(home, settings=StoreSettings(threads=1)) as engine:
        guard = SqlGuard(engine, home)
        for query, words in MISLEADING:
            with pytest.raises(MirrorError, match=re.escape(words)):
                list(run_sql(engine, query, guard=guard).rows())
            with pytest.raises(MirrorError):
                write_parquet(engine, query, tmp_path / "out.parquet", guard=guard)


@pytest.mark.parametrize(("query", "words"), thin(MISLEADING, keep=[MISLEADING[0], MISLEADING[-1]]))
def test_a_statement_that_has_no_use_is_refused_in_a_line(filled: Cli, query: str, words: str) -> None:
    assert words in filled.fails(3, "sql", query).error
    assert filled("sql", "--unsafe", query).code in (0, 3)


def test_one_connection_answers_them_all(filled: Cli) -> None:
    home = Home(filled.home)
    with connect(home, settings=StoreSettings(threads=1)) as engine:
        guard = SqlGuard(engine, home)
        for query in READ:
            list(run_sql(engine, query, guard=guard).rows())


def test_who_wants_it_all_says_so(filled: Cli) -> None:
    filled("sql", "--unsafe", "COPY (SELECT 1 AS n) TO 'x.csv'", code=0)
    assert (filled.folder / "x.csv").read_text() == "n\n1\n"
    said = filled("sql", "COPY (SELECT 1) TO 'y.csv'", code=3)
    assert said.err.splitlines()[0] == "error: the mirror is read-only for SQL: COPY is refused"
    assert "--unsafe" in said.err
    assert "--output" in said.err


def test_whatever_answers_is_written_whole(filled: Cli) -> None:
    said = filled("sql", "PIVOT (SELECT project, state FROM runs) ON state USING count(*);", "-o", "p.parquet", code=0)
    assert said.err == "wrote p.parquet (2 rows)\n"
    assert pq.read_table(filled.folder / "p.parquet").num_rows == 2
    refused = filled("sql", "SELECT INTERVAL 1 DAY AS i", "-o", "q.parquet", code=3)
    assert "::VARCHAR" in refused.err
    assert not (filled.folder / "q.parquet").exists()
    assert [path.name for path in filled.folder.glob(".tmp-*")] == []


def test_an_answer_that_is_written_opens_no_folder_for_reading(filled: Cli) -> None:
    (filled.folder / "secret.csv").write_text("a\n1\n")
    said = filled("sql", "FROM 'secret.csv'", "-o", "x.parquet", code=3)
    assert said.err.startswith("error: ")
    assert not (filled.folder / "x.parquet").exists()


@pytest.mark.parametrize(
    ("query", "target", "words"),
    [
        ("SELECT if(i > 150000, error('late'), i) FROM range(200000) t(i)", "late.parquet", "late"),
        ("SELECT 1", "folder.parquet", "cannot be written"),
    ],
)
def test_an_answer_that_cannot_be_written_is_one_line_and_leaves_nothing(
    filled: Cli, query: str, target: str, words: str
) -> None:
    (filled.folder / "folder.parquet").mkdir(exist_ok=True)
    before = sorted(path.name for path in filled.folder.iterdir())
    said = filled("sql", query, "-o", target)
    assert said.code in (2, 3)
    assert words in said.err or "directory" in said.err
    assert "defect" not in said.err
    assert sorted(path.name for path in filled.folder.iterdir()) == before


@pytest.mark.parametrize("text", [";", "/* nothing */", " ; ;"])
def test_a_statement_of_nothing_is_an_empty_query(filled: Cli, text: str) -> None:
    assert "the query is empty" in filled.fails(3, "sql", text).error


def test_ctrl_c_ends_a_query(filled: Cli) -> None:
    endless = "SELECT sum(a.range * b.range) FROM range(3000000) a, range(3000000) b"
    with filled.start("sql", endless, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        time.sleep(2.0)  # it is past its imports, or it ends all the same
        asked.send_signal(signal.SIGINT)
        said = asked.communicate(timeout=30)
    assert asked.returncode == 130
    assert said == (b"", b"interrupted; nothing is lost, the same command goes on where it stopped\n")


def test_a_text_of_json_in_an_aggregate_is_told_how_to_be_a_number(filled: Cli) -> None:
    assert "num(summary, 'key')" in filled.fails(3, "sql", "SELECT avg(summary->>'loss') FROM runs").hint
