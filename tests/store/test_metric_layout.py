"""`metrics` is laid out so that a query for one key over all runs skips the others, also after maintenance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mirror.layout import Home
from mirror.records.contents import ContentChanges, ExportRow, HistoryChange
from mirror.records.passes import Changes
from mirror.store.care.tables import MERGED_GROUP_ROWS, merge_files
from mirror.store.engine.lake import Lake
from mirror.store.metrics.files import GROUP_ROWS
from mirror.store.objects.objects import Objects
from mirror.store.schema.tables import METRICS
from mirror.store.sql.statements import connect
from mirror.store.write.writer import commit
from mirror.store_settings import StoreSettings
from tests.store.test_contents import AT, KEY, export

RUNS, STEPS, KEYS = 12, 4_000, 8  # in each of several commits


@pytest.fixture
def filled(home: Home) -> Home:
    """A lake of several commits."""
    objects = Objects(home)
    for number in range(4):
        with Lake(home, deployment="d") as lake:
            contents = [
                ContentChanges(run_id=f"r{run}-{number}", history=HistoryChange(exports=(history(objects, run),)))
                for run in range(RUNS)
            ]
            commit(lake, Changes(key=KEY, at=AT), contents, objects=objects)
    return home


def history(objects: Objects, seed: int) -> ExportRow:
    values = np.random.default_rng(seed)
    return export(
        objects, _step=list(range(STEPS)), **{f"key{number}": list(values.normal(size=STEPS)) for number in range(KEYS)}
    )


def groups(home: Home) -> list[tuple[str, str, int]]:
    """Of each row group of `metrics` as it is now: the first key, the last, how many rows."""
    with connect(home) as engine:
        files = engine.execute("SELECT data_file FROM ducklake_list_files('lake', 'metrics')").fetchall()
    found = []
    for (name,) in files:
        metadata = pq.ParquetFile(Path(name)).metadata
        place = metadata.schema.names.index("key")
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            statistics = group.column(place).statistics
            found.append((statistics.min, statistics.max, group.num_rows))
    return found


def share_read(home: Home, key: str) -> float:
    """The share of all rows that lie in row groups which may hold a key."""
    found = groups(home)
    return sum(rows for first, last, rows in found if first <= key <= last) / sum(rows for _, _, rows in found)


def test_a_key_lies_in_few_row_groups_before_and_after_files_are_merged(filled: Home) -> None:
    with connect(filled) as engine:
        before = engine.execute("SELECT key, run_id, step, value FROM metrics ORDER BY ALL").to_arrow_table()
    fair = 1 / KEYS
    for key in ("key0", "key3", "key7"):
        assert share_read(filled, key) <= 1.5 * fair
    with Lake(filled, deployment="d") as lake:
        assert merge_files(lake) > 1
    assert len(groups(filled)) >= RUNS * STEPS * KEYS * 4 / GROUP_ROWS / 2
    for key in ("key0", "key3", "key7"):
        assert share_read(filled, key) <= 2 * fair
    with connect(filled) as engine:
        after = engine.execute("SELECT key, run_id, step, value FROM metrics ORDER BY ALL").to_arrow_table()
    assert before.equals(after)


def test_a_run_that_is_longer_than_a_file_is_by_key_too(home: Home) -> None:
    objects = Objects(home)
    rows = 400_000
    long = export(objects, _step=list(range(rows)), **{f"key{number}": [0.5] * rows for number in range(4)})
    with Lake(home, deployment="d") as lake:
        contents = [ContentChanges(run_id="long", history=HistoryChange(exports=(long,)))]
        commit(lake, Changes(key=KEY, at=AT), contents, objects=objects)
    assert sum(count for _, _, count in groups(home)) == 4 * rows
    assert share_read(home, "key2") <= 0.3


def test_a_file_of_metrics_says_which_columns_are_never_null(home: Home) -> None:
    """Parquet marks no cell of those as there: they are written in two thirds of the time."""
    objects = Objects(home)
    with Lake(home, deployment="d") as lake:
        contents = [ContentChanges(run_id="r", history=HistoryChange(exports=(history(objects, 1),)))]
        commit(lake, Changes(key=KEY, at=AT), contents, objects=objects)
        ((name,),) = lake.rows("SELECT data_file FROM ducklake_list_files('lake', 'metrics')")
        schema = pq.ParquetFile(name).schema
        columns = [schema.column(place) for place in range(len(schema))]
        optional = [column.name for column in columns if column.max_definition_level]
        assert optional == [column.name for column in METRICS.columns if not column.required]
        assert lake.rows("SELECT count(*) FROM lake.metrics") == [(STEPS * KEYS,)]


def test_merged_files_are_written_in_parts_that_do_not_grow_with_the_lake(home: Home) -> None:
    """A row group is in memory before it is written, and a row of some tables has tens of kilobytes."""
    with Lake(home, deployment="d", settings=StoreSettings(threads=2)) as lake:
        for number in range(4):
            with lake.transaction() as engine:
                engine.execute(
                    "INSERT INTO lake.run_artifacts"
                    f" SELECT 'e', 'p', 'r' || range, 'a{number}', 'logged' FROM range({MERGED_GROUP_ROWS})"
                )
        with lake.reading() as engine:
            threads = engine.execute("SELECT current_setting('threads')").fetchall()
        assert merge_files(lake) == 4
        ((name,),) = lake.rows("SELECT data_file FROM ducklake_list_files('lake', 'run_artifacts')")
        metadata = pq.ParquetFile(name).metadata
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        assert sum(sizes) == 4 * MERGED_GROUP_ROWS
        assert max(sizes) <= MERGED_GROUP_ROWS
        with lake.reading() as engine:  # others may use them again
            assert engine.execute("SELECT current_setting('threads')").fetchall() == threads
