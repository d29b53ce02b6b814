"""Contents of runs: committed whole or not at all, replaced exactly once, migrated from the first version."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror import durable
from mirror.errors import HomeUnusable, StoreError, UnreadableExport
from mirror.layout import Home
from mirror.records.addresses import ProjectKey
from mirror.records.artifacts import ArtifactRecord, ManifestEntry
from mirror.records.console import ConsoleLine
from mirror.records.contents import (
    ArtifactChange,
    ArtifactFileRow,
    ContentChanges,
    ExportRow,
    FileRow,
    FileStatus,
    HistoryChange,
    TailRow,
)
from mirror.records.passes import Changes, SourceState
from mirror.store.engine.lake import Lake
from mirror.store.engine.meta import lake_version
from mirror.store.engine.queries import Snapshot
from mirror.store.history.parts import facts_of
from mirror.store.objects.objects import Objects
from mirror.store.read.files import held_files
from mirror.store.read.histories import held_histories
from mirror.store.schema.tables import MIGRATIONS, SCHEMA_VERSION
from mirror.store.sql.statements import connect
from mirror.store.write import contents_ready as ready_module
from mirror.store.write.writer import commit
from tests.cli.warm import run_script
from tests.mirroring import empty_lake
from tests.soaking import thin

KEY = ProjectKey("e", "p")
AT = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
TABLES = (
    "files", "exports", "metrics", "tails", "system_metrics", "console_lines", "completeness", "artifacts",
    "artifact_files", "run_artifacts",
)  # fmt: skip


@pytest.fixture
def lake(home: Home) -> Iterator[Lake]:
    """A new lake, open for writing."""
    with empty_lake(home) as lake:
        yield lake


@pytest.fixture
def objects(home: Home) -> Objects:
    """Its objects."""
    return Objects(home)


def export(objects: Objects, **columns: list[Any]) -> ExportRow:
    """A history export as an object."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, write_page_checksum=True)
    digest = objects.put_bytes(sink.getvalue())
    facts = facts_of(objects.path(digest))
    return ExportRow(
        object=digest, size=len(sink.getvalue()), rows=facts.rows, min_step=facts.min_step, max_step=facts.max_step
    )


def row(step: int | None, **cells: Any) -> TailRow:
    """A row of a tail."""
    return TailRow(step=step, row=json.dumps({"_step": step, **cells}))


def file(objects: Objects, name: str, content: bytes | None, status: FileStatus = "held") -> FileRow:
    """A file of a run."""
    digest = None if content is None else objects.put_bytes(content)
    return FileRow(
        name=name, file_id=f"id-{name}", size=len(content or b""), md5=None, mimetype=None, updated_at=AT,
        updated_at_text="t", object=digest, status=status,
    )  # fmt: skip


def line(number: int, text: str) -> ConsoleLine:
    """A line of console output."""
    return ConsoleLine(number=number, at=AT, at_text="2024", level="", label="", line=text)


def history(lake: Lake, objects: Objects, change: HistoryChange, run_id: str = "r") -> None:
    """Commit a change of one run's history."""
    commit(lake, Changes(key=KEY, at=AT), [ContentChanges(run_id=run_id, history=change)], objects=objects)


def held(lake: Lake, table: str, columns: str = "* EXCLUDE (entity, project)") -> list[tuple[Any, ...]]:
    """All rows of a table, sorted."""
    with lake.reading() as engine:
        return engine.execute(f"SELECT {columns} FROM lake.{table} ORDER BY ALL").fetchall()


def everything(lake: Lake) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables of contents."""
    return {table: held(lake, table) for table in TABLES}


def whole_run(objects: Objects, run_id: str = "r") -> ContentChanges:
    """A run with something of everything."""
    return ContentChanges(
        run_id=run_id,
        files=(file(objects, "a/../b", b"one"), file(objects, "big", None, "left_out")),
        history=HistoryChange(
            exports=(export(objects, _step=[0, 1], a=[1.0, None], t=["x", None]),), tail=(row(2, a=3),), last_step=2
        ),
        events=('{"_timestamp": 1.5, "_wandb": true, "system.cpu": 3}', '{"_timestamp": 1.5, "system.cpu": 3}'),
        console=(line(0, "hi"), line(1, "10%")),
        artifacts=(("A1", "logged"), ("A1", "used"), ("A1", "logged")),
    )


def artifact(digest: str) -> ArtifactRecord:
    """A version."""
    return ArtifactRecord(
        artifact_id="A1", entity=None, project=None, sequence="s", type="model", version_index=0, state="COMMITTED",
        digest=digest, digest_algorithm=None, aliases=("latest", "v0"), tags=(), metadata_text='{"a": NaN}',
        description=None, size=1, file_count=1, commit_hash=None, history_step=None, created_at=AT,
        created_at_text="t", updated_at=None, updated_at_text=None,
    )  # fmt: skip


def artifact_change(objects: Objects, path: str = "weights") -> ArtifactChange:
    """A version with one file."""
    entry = ManifestEntry(path=path, digest="d", size=1, ref=None, birth_artifact_id=None, extra='{"x":1}')
    return ArtifactChange(
        record=artifact("00"),
        manifest=objects.put_bytes(b"manifest"),
        files=(ArtifactFileRow(entry=entry, object=objects.put_bytes(b"w"), status="held"),),
    )


def test_committing_the_same_again_changes_nothing(lake: Lake, objects: Objects) -> None:
    contents = [whole_run(objects), whole_run(objects, "q")]
    for _ in range(3):
        commit(lake, Changes(key=KEY, at=AT), contents, [artifact_change(objects)], objects=objects)
        seen = everything(lake)
        assert {table: len(rows) for table, rows in seen.items()} == {
            "files": 4, "exports": 2, "metrics": 6, "tails": 2, "system_metrics": 8, "console_lines": 4,
            "completeness": 2, "artifacts": 1, "artifact_files": 1, "run_artifacts": 4,
        }  # fmt: skip
    assert [item[1:] for item in seen["metrics"] if item[0] == "r"] == [
        ("a", 0, None, 1.0, None),
        ("a", 2, None, 3.0, None),
        ("t", 0, None, None, '"x"'),
    ]
    assert held(lake, "artifacts", "metadata") == [('{"a":"NaN"}',)]


def test_what_a_change_does_not_name_stays(lake: Lake, objects: Objects) -> None:
    commit(lake, Changes(key=KEY, at=AT), [whole_run(objects)], [artifact_change(objects)], objects=objects)
    before = everything(lake)
    changed = ContentChanges(
        run_id="r", files=(file(objects, "big", b"now"),), console=(line(1, "100%"), line(2, "done"))
    )
    new_version = ArtifactChange(record=artifact("01"))
    commit(lake, Changes(key=KEY, at=AT), [changed], [new_version], objects=objects)
    after = everything(lake)
    for table in ("exports", "metrics", "tails", "system_metrics", "completeness", "run_artifacts", "artifact_files"):
        assert before[table] == after[table]
    assert [item[6] for item in after["console_lines"]] == ["hi", "100%", "done"]
    assert held(lake, "files", "name, status") == [("a/../b", "held"), ("big", "held")]
    assert held(lake, "artifacts", "digest, manifest IS NOT NULL") == [("01", True)]


def test_a_tail_grows_and_an_export_replaces_it_exactly_once(lake: Lake, objects: Objects) -> None:
    history(lake, objects, HistoryChange(tail=(row(0, a=1), row(1, a=2)), last_step=2, history_line_count=3))
    assert held(lake, "completeness", "rows_held, complete, reason") == [
        (2, False, "the last step is 2, the last one held is 1")
    ]
    history(lake, objects, HistoryChange(tail=(row(2, a=3), row(4, a=5)), last_step=4, history_line_count=4))
    assert held(lake, "metrics", "step, value") == [(0, 1), (1, 2), (2, 3), (4, 5)]
    assert held(lake, "completeness", "rows_held, tail_rows, complete") == [(4, 4, True)]
    part = export(objects, _step=[0, 1, 2], a=[1, 2, 3])
    history(lake, objects, HistoryChange(exports=(part,), last_step=4, history_line_count=4))
    assert held(lake, "tails", "step") == [(4,)]
    assert held(lake, "metrics", "step, value") == [(0, 1), (1, 2), (2, 3), (4, 5)]
    late = row(3, a=4)  # between what is held
    history(lake, objects, HistoryChange(tail=(late, late), last_step=4, history_line_count=5))
    assert held(lake, "metrics", "step, value") == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    history(lake, objects, HistoryChange(tail=(row(1, b=9),), live_steps=(1,), last_step=4))  # written again
    assert held(lake, "metrics", "key, step, value")[1] == ("a", 1, 2.0)
    assert ("b", 1, 9.0) in held(lake, "metrics", "key, step, value")
    second = export(objects, _step=[3.0, 4.0], a=[4, 5])
    history(lake, objects, HistoryChange(exports=(second, part), replaces_tail=True, last_step=4, history_line_count=5))
    assert held(lake, "metrics", "step, value") == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert held(lake, "tails") == []
    assert held(lake, "exports", "part, object") == [(0, part.object), (1, second.object)]
    assert held(lake, "completeness", "rows_held, parts, tail_rows, complete") == [(5, 2, 0, True)]


def test_rows_without_a_step_are_kept_and_counted(lake: Lake, objects: Objects) -> None:
    part = export(objects, _step=[0, None], a=[1, 2])
    rows = (TailRow(step=None, row="no json\0"), row(1, a=2))
    history(lake, objects, HistoryChange(exports=(part,), tail=rows, history_line_count=4))
    assert held(lake, "tails", "row") == [("no json\\u0000",), (rows[1].row,)]
    assert held(lake, "completeness", "rows_held, complete") == [(4, True)]


def test_a_plan_is_told_what_is_held(lake: Lake, objects: Objects) -> None:
    commit(lake, Changes(key=KEY, at=AT), [whole_run(objects)], objects=objects)
    found = held_histories(lake, KEY, ["r", "unknown"])
    assert found["unknown"].completeness is None
    assert found["r"].last_step == found["r"].last_tail_step == 2
    assert (found["r"].tail_rows, found["r"].last_console_number, found["r"].event_rows) == (1, 1, 2)
    assert [item.rows for item in found["r"].exports] == [2]
    files = held_files(lake, KEY, ["r", "unknown"])
    assert list(files) == ["r"]
    assert files["r"]["big"].status == "left_out"
    assert files["r"]["a/../b"].object == objects.put_bytes(b"one")


def test_contents_and_watermark_become_visible_together_or_not_at_all(
    lake: Lake, objects: Objects, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(lake, Changes(key=KEY, at=AT), [whole_run(objects)], objects=objects)
    before = everything(lake)
    names = durable.file_names(home.metric_data)

    def full(folder: Path, known: object) -> list[Path]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mirror.store.engine.local_storage.sync_new_files", full)
    changes = Changes(key=KEY, at=AT, source=SourceState(watermark=AT))
    growing = ContentChanges(run_id="r", history=HistoryChange(tail=(row(9, a=1),)))
    with pytest.raises(HomeUnusable):
        commit(lake, changes, [growing, whole_run(objects, "q")], objects=objects)
    monkeypatch.undo()
    assert everything(lake) == before
    assert held(lake, "sources") == []
    assert {name for name in durable.file_names(home.metric_data) - names if "fold-" in name} == set()
    commit(lake, changes, [growing, whole_run(objects, "q")], objects=objects)
    assert len(held(lake, "sources")) == 1
    assert len(held(lake, "metrics")) == 2 * len(before["metrics"]) + 1


def test_every_file_is_flushed_before_the_commit_that_names_it(
    lake: Lake, objects: Objects, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: set[str] = set()
    real = durable.sync_file

    def note(path: Path) -> None:
        flushed.add(str(path))
        real(path)

    monkeypatch.setattr(durable, "sync_file", note)
    monkeypatch.setattr(durable, "_sync_file_system", lambda folder: False)
    commit(lake, Changes(key=KEY, at=AT), [whole_run(objects)], objects=objects)
    with lake.reading() as engine:
        for table in TABLES:
            files = engine.execute(f"SELECT data_file FROM ducklake_list_files('lake', '{table}')").fetchall()
            assert {name for (name,) in files} <= flushed
    for digest in (whole_run(objects).files[0].object, objects.put_bytes(b"one")):
        assert digest is not None
        assert str(home.staged / digest) in flushed


def test_an_object_that_is_missing_stops_the_commit(lake: Lake, objects: Objects) -> None:
    torn = file(objects, "x", b"x")
    with pytest.raises(StoreError, match="missing"):
        commit(lake, Changes(key=KEY, at=AT), [ContentChanges(run_id="r", files=(torn,))], objects=Objects(lake.home))
    assert held(lake, "files") == []


def test_a_damaged_part_is_named_and_leaves_nothing(lake: Lake, objects: Objects, home: Home) -> None:
    part = export(objects, _step=list(range(500)), a=[float(number) for number in range(500)])
    content = bytearray(objects.path(part.object).read_bytes())
    content[len(content) // 2] ^= 1
    objects.path(part.object).chmod(0o644)
    objects.path(part.object).write_bytes(content)
    with pytest.raises(UnreadableExport) as error:
        history(lake, objects, HistoryChange(exports=(part,)))
    assert error.value.object == part.object
    assert durable.file_names(home.metric_data) == set()
    assert held(lake, "exports") == []


def test_a_file_that_the_catalog_names_after_all_is_not_removed(
    lake: Lake, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_after_commit(folder: Path) -> set[str]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("mirror.store.engine.local_storage.file_names", fails_after_commit)
    with pytest.raises(StoreError):
        commit(lake, Changes(key=KEY, at=AT), [whole_run(objects)], objects=objects)
    monkeypatch.undo()
    assert len(held(lake, "metrics")) == 3


def test_a_lake_of_the_first_version_is_brought_up_to_date(
    home: Home, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mirror.store.engine.lake.MIGRATIONS", MIGRATIONS[:1])
    monkeypatch.setattr("mirror.store.engine.lake.SCHEMA_VERSION", 1)
    monkeypatch.setattr("mirror.store.engine.lake.INLINED_TABLES", ("sources", "failures"))
    with Lake(home, deployment="d") as lake, lake.transaction() as engine:
        assert lake_version(Snapshot(engine)) == 1
        engine.execute(
            "INSERT INTO lake.runs (entity, project, run_id, storage_id, synced_at, fingerprint)"
            " VALUES ('e', 'p', 'r', 's', now()::TIMESTAMP, 'f')"
        )
    monkeypatch.undo()
    with pytest.raises(StoreError, match="older schema version 1"):
        connect(home)
    for _ in range(2):
        with Lake(home, deployment="d") as lake:
            with lake.reading() as engine:
                assert lake_version(Snapshot(engine)) == SCHEMA_VERSION
            commit(lake, Changes(key=KEY, at=AT), [whole_run(objects)], objects=objects)
    with connect(home) as reader:
        assert reader.execute("SELECT run_id FROM runs").fetchall() == [("r",)]
        assert reader.execute("SELECT count(*) FROM metrics JOIN runs USING (run_id)").fetchall() == [(3,)]
        for table in TABLES:
            reader.execute(f"SELECT * FROM {table}")


KILLED = """
import os, signal, sys
from pathlib import Path
from mirror.layout import Home
from mirror.records.passes import Changes, SourceState
from mirror.store.write import contents_ready
from mirror.store.write import contents_writer
from mirror.store.engine import local_storage as storage_module
from mirror.store.write import writer
from mirror.store.objects.objects import Objects
from tests.mirroring import empty_lake
from tests.store.test_contents import AT, KEY, HistoryChange, ContentChanges, row, whole_run
home, step = Home(Path(sys.argv[1])), int(sys.argv[2])
seen = 0
def count(module, name):
    real = getattr(module, name)
    def wrapped(*arguments, **options):
        global seen
        for _ in range(2):  # before and after
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)
            if _ == 0:
                result = real(*arguments, **options)
        return result
    setattr(module, name, wrapped)
for name in ("merge", "insert", "register", "_delete"):
    count(contents_writer, name)
count(contents_ready, "write_metrics")
count(storage_module, "sync_new_files")
objects = Objects(home)
with empty_lake(home) as lake:
    objects.recover()
    growing = ContentChanges(run_id="r", history=HistoryChange(tail=(row(3, a=4),)))
    contents = [growing, whole_run(objects, "q")]
    writer.commit(lake, Changes(key=KEY, at=AT, source=SourceState(watermark=AT)), contents, objects=objects)
print("whole")
"""


@pytest.mark.parametrize(
    "steps", thin({"few": (12, 24, 10_000), "many": (1, 3, 6, 9, 12, 15, 18, 21, 24, 10_000)}, keep=["few"])
)
def test_a_kill_between_any_two_steps_of_a_commit_leaves_the_old_or_the_new_contents(
    home: Home, steps: tuple[int, ...]
) -> None:
    objects = Objects(home)
    with empty_lake(home) as lake:
        commit(lake, Changes(key=KEY, at=AT), [whole_run(objects)], objects=objects)
        before = everything(lake)
    kills = 0
    for step in steps:
        status, said, errors = run_script(KILLED, str(home.root), str(step))
        with empty_lake(home) as lake:
            after, watermark = everything(lake), held(lake, "sources", "watermark")
        if status == -9:
            kills += 1
            assert (after, watermark) == (before, [])
        else:
            assert said == "whole\n", errors
            break
    assert kills == len(steps) - 1
    assert watermark == [(AT.replace(tzinfo=None),)]
    assert len(after["metrics"]) == 7
    assert [item[0] for item in after["completeness"]] == ["q", "r"]


def test_metric_files_are_bounded_and_one_run_stays_in_one(
    lake: Lake, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mirror.store.metrics.files._FILE_ROWS", 3)
    contents = [whole_run(objects, f"r{number}") for number in range(4)]
    commit(lake, Changes(key=KEY, at=AT), contents, objects=objects)
    assert len(held(lake, "metrics")) == 12
    with lake.reading() as engine:
        files = engine.execute("SELECT data_file FROM ducklake_list_files('lake', 'metrics')").fetchall()
    assert len(files) == 4
    for (name,) in files:
        assert len(set(pq.read_table(name, page_checksum_verification=True).column("run_id").to_pylist())) == 1


def test_a_history_that_only_grew_is_not_read_again(
    lake: Lake, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(lake, Changes(key=KEY, at=AT), [whole_run(objects)], objects=objects)
    monkeypatch.setattr(ready_module, "fold_exports", None)
    history(lake, objects, HistoryChange(tail=(row(3, a=4), row(5, a=6))))
    history(lake, objects, HistoryChange(last_step=5))
    assert held(lake, "metrics", "key, step") == [("a", 0), ("a", 2), ("a", 3), ("a", 5), ("t", 0)]
    assert held(lake, "completeness", "last_step, last_step_held, complete") == [(5, 5, True)]
