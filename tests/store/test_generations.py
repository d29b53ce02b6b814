"""What the server replaced stays askable as an earlier generation: whole, once, and for as long as was asked for."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from mirror.config import RetentionSettings
from mirror.layout import Home
from mirror.records.contents import ContentChanges, HistoryChange
from mirror.records.passes import Changes
from mirror.records.runs import RunRecord
from mirror.store.care.maintenance import maintain
from mirror.store.engine.lake import Lake
from mirror.store.engine.meta import lake_version
from mirror.store.engine.queries import Snapshot
from mirror.store.objects.objects import Objects
from mirror.store.schema.tables import MIGRATIONS
from mirror.store.schema.views import VIEWS
from mirror.store.sql.statements import connect
from mirror.store.write.writer import commit
from tests.cli.warm import run_script
from tests.mirroring import empty_lake
from tests.soaking import thin
from tests.store.test_contents import AT, KEY, export, held, history, line, row, whole_run

LATER = AT + dt.timedelta(days=1)


@pytest.fixture
def lake(home: Home) -> Iterator[Lake]:
    """A new lake, open for writing."""
    with empty_lake(home) as lake:
        yield lake


@pytest.fixture
def objects(home: Home) -> Objects:
    """Its objects."""
    return Objects(home)


def run(**changes: Any) -> RunRecord:
    """A run of the project."""
    nothing: dict[str, Any] = dict.fromkeys(RunRecord.__struct_fields__)
    made = RunRecord(
        **nothing | {"entity": "e", "project": "p", "run_id": "r", "storage_id": "s1", "tags": (), "fingerprint": "f"}
    )
    return msgspec.structs.replace(made, created_at=AT, **changes)


def generations(lake: Lake) -> list[tuple[Any, ...]]:
    """Run id, number and reason."""
    return held(lake, "generations", "run_id, generation, reason")


def test_what_grows_or_is_exported_supersedes_nothing(lake: Lake, objects: Objects) -> None:
    history(lake, objects, HistoryChange(tail=(row(0, a=1, n={"x": 1}), row(1, a=2)), last_step=1))
    history(lake, objects, HistoryChange(tail=(row(1, a=2, late="t"), row(2, a=3)), tail_from=1, last_step=2))
    part = export(objects, _step=[0, 1, 2], a=[1.0, 2.0, 3.0], late=[None, "t", None], n=['{"x": 1.0}', None, None])
    history(lake, objects, HistoryChange(exports=(part,), replaces_tail=True, last_step=2))
    history(lake, objects, HistoryChange(tail=(row(5, a=1),), last_step=5))
    assert generations(lake) == []


@pytest.mark.parametrize(
    ("rows", "reason"),
    thin(
        [
            ([row(0, a=1, t="x"), row(1, a=2.5, t="x")], "overwritten"),
            ([row(0, a=1, t="x"), row(1, a=2, t="y")], "overwritten"),
            ([row(0, a=1, t="x")], "rewound"),
            ([], "rewound"),
        ],
        keep=[([row(0, a=1, t="x"), row(1, a=2, t="y")], "overwritten"), ([row(0, a=1, t="x")], "rewound")],
    ),
)
def test_a_history_that_loses_something_is_kept_as_a_generation(
    lake: Lake, objects: Objects, rows: list[Any], reason: str
) -> None:
    part = export(objects, _step=[0], a=[1.0], t=["x"])
    commit(lake, Changes(key=KEY, at=AT, runs=(run(),), new=frozenset({"r"})))
    history(lake, objects, HistoryChange(exports=(part,), tail=(row(1, a=2, t="x"),), last_step=1))
    metrics = held(lake, "metrics", "key, step, value, text")
    history(lake, objects, HistoryChange(exports=(), tail=tuple(rows), replaces_tail=True, last_step=1))
    assert generations(lake) == [("r", 1, reason)]
    assert held(lake, "generations", "storage_id, created_at, last_step, rows_held, parts, tail_rows") == [
        ("s1", AT.replace(tzinfo=None), 1, 2, 1, 1)
    ]
    assert held(lake, "generation_metrics", "key, step, value, text") == metrics
    assert held(lake, "generation_exports", "generation, part, object") == [(1, 0, part.object)]
    assert held(lake, "generation_tails", "generation, step, row") == [(1, 1, row(1, a=2, t="x").row)]
    history(lake, objects, HistoryChange(exports=(), tail=(row(0, a=7),), replaces_tail=True, last_step=0))
    assert generations(lake)[0] == ("r", 1, reason)
    assert len(generations(lake)) == (2 if rows else 1)


OTHERS: tuple[dict[str, Any], ...] = ({"storage_id": "s2"}, {"created_at": LATER})


@pytest.mark.parametrize(
    ("change", "with_contents"),
    thin(
        [(change, with_contents) for change in OTHERS for with_contents in (True, False)],
        keep=[(OTHERS[0], False), (OTHERS[1], True)],
    ),
)
def test_a_run_that_was_made_again_keeps_nothing_of_the_old_one_but_as_a_generation(
    lake: Lake, objects: Objects, change: dict[str, Any], with_contents: bool
) -> None:
    commit(lake, Changes(key=KEY, at=AT, runs=(run(),), new=frozenset({"r"})), [whole_run(objects)], objects=objects)
    old = {table: held(lake, table) for table in ("metrics", "files", "console_lines", "system_metrics", "exports")}
    fresh = ContentChanges(run_id="r", history=HistoryChange(tail=(row(0, b=1),), last_step=0), console=(line(0, "b"),))
    changes = Changes(key=KEY, at=LATER, runs=(msgspec.structs.replace(run(), **change, notes="new"),))
    for _ in range(2):  # the second time it is the same run
        commit(lake, changes, [fresh] if with_contents else [], objects=objects)
    assert generations(lake) == [("r", 1, "remade")]
    assert held(lake, "runs", "notes") == [("new",)]
    assert held(lake, "metrics", "key") == ([("b",)] if with_contents else [])
    assert len(held(lake, "console_lines")) == len(held(lake, "tails")) == with_contents
    for table in ("files", "exports", "system_metrics", "run_artifacts"):
        assert held(lake, table) == []
    assert len(held(lake, "generation_metrics")) == len(old["metrics"])
    kept: dict[str, list[dict[str, Any]]] = {}
    for table, text in held(lake, "generation_rows", '"table", row'):
        kept.setdefault(table, []).append(json.loads(text))
    assert {table: len(rows) for table, rows in kept.items()} == {
        "runs": 1, "files": 2, "console_lines": 2, "system_metrics": len(old["system_metrics"]), "run_artifacts": 2,
    }  # fmt: skip
    assert (kept["runs"][0]["storage_id"], kept["runs"][0]["notes"]) == ("s1", None)
    objects_named = {row[0] for row in held(lake, "generation_rows", "object") if row[0] is not None}
    assert objects_named == {one["object"] for one in kept["files"] if one["object"]}


def test_a_double_that_json_has_no_number_for_is_kept_as_a_text(lake: Lake, objects: Objects) -> None:
    contents = ContentChanges(run_id="r", events=('{"_timestamp": 1, "system.x": NaN, "system.y": 2.5}',))
    commit(lake, Changes(key=KEY, at=AT, runs=(run(),), new=frozenset({"r"})), [contents], objects=objects)
    values = dict(held(lake, "system_metrics", "key, value::VARCHAR"))
    commit(lake, Changes(key=KEY, at=LATER, runs=(run(storage_id="s2"),)))
    rows = [json.loads(text) for table, text in held(lake, "generation_rows", '"table", row') if table[0] == "s"]
    assert {one["key"]: None if one["value"] is None else str(one["value"]) for one in rows} == values


def test_objects_of_a_generation_stay_as_long_as_it_does_and_a_run_keeps_its_newest_ones(
    lake: Lake, objects: Objects
) -> None:
    parts = [export(objects, _step=[0], a=[float(number)]) for number in range(4)]
    commit(lake, Changes(key=KEY, at=AT, runs=(run(),), new=frozenset({"r"})))
    for part in parts:
        history(lake, objects, HistoryChange(exports=(part,), replaces_tail=True, last_step=0))
    assert [number for _, number, _ in generations(lake)] == [1, 2, 3]
    for part in parts:
        os.utime(objects.path(part.object), (1, 1))

    def tidy(**settings: Any) -> int:
        soon = RetentionSettings(snapshots_days=1e-9, files_days=1e-9, objects_days=1e-9, **settings)
        done = maintain(lake, soon, needed=list, now=dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
        return done.generations_forgotten

    assert tidy() == 0
    assert all(objects.has(part.object) for part in parts)
    assert tidy(generations=1) == 2
    assert [objects.has(part.object) for part in parts] == [False, False, True, True]
    assert generations(lake) == [("r", 3, "overwritten")]
    history(lake, objects, HistoryChange(exports=(), tail=(row(0, a=9),), replaces_tail=True, last_step=0))
    assert [number for _, number, _ in generations(lake)] == [3, 4]
    assert tidy(generations=0) == 2
    assert held(lake, "generation_metrics") == held(lake, "generation_exports") == []


KILLED = """
import os, signal, sys
from pathlib import Path
from mirror.layout import Home
from mirror.records.passes import Changes
from mirror.store.write import contents_ready
from mirror.store.write import contents_writer
from mirror.store.engine import local_storage as storage_module
from mirror.store.write import writer
from mirror.store.objects.objects import Objects
from tests.mirroring import empty_lake
from tests.store.test_generations import KEY, LATER, ContentChanges, HistoryChange, row, run
home, step = Home(Path(sys.argv[1])), int(sys.argv[2])
seen = 0
def count(module, name):
    real = getattr(module, name)
    def wrapped(*arguments, **options):
        global seen
        for turn in range(2):  # before and after
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)
            if turn == 0:
                result = real(*arguments, **options)
        return result
    setattr(module, name, wrapped)
for name in ("keep_histories", "_delete", "insert", "register"):
    count(contents_writer, name)
for name in ("supersede_runs", "put"):
    count(writer, name)
count(contents_ready, "write_metrics")
count(storage_module, "sync_new_files")
objects = Objects(home)
with empty_lake(home) as lake:
    objects.recover()
    seen = 0
    again = run(run_id="q", storage_id="s2")
    contents = [
        ContentChanges(run_id=name, history=HistoryChange(exports=(), tail=(row(0, a=9),), replaces_tail=True))
        for name in ("r", "q")
    ]
    writer.commit(lake, Changes(key=KEY, at=LATER, runs=(again,)), contents, objects=objects)
print("whole", seen)
"""


@pytest.mark.parametrize(
    "steps", thin({"few": (9, 19, 1000), "many": (1, 3, 6, 9, 12, 14, 16, 19, 21, 24, 1000)}, keep=["few"])
)
def test_a_kill_at_any_step_leaves_the_old_state_or_the_new_one_with_its_generation(
    home: Home, steps: tuple[int, ...]
) -> None:
    objects = Objects(home)
    tables = ("runs", "metrics", "exports", "tails", "completeness", *(name for name in VIEWS if "generation" in name))
    with empty_lake(home) as lake:
        runs = (run(), run(run_id="q"))
        contents = [whole_run(objects), whole_run(objects, "q")]
        commit(lake, Changes(key=KEY, at=AT, runs=runs, new=frozenset({"r", "q"})), contents, objects=objects)
        before = {table: held(lake, table) for table in tables}
    for step in steps:
        status, said, errors = run_script(KILLED, str(home.root), str(step))
        with empty_lake(home) as lake:
            after = {table: held(lake, table) for table in tables}
            if status == -9:
                assert after == before
                continue
            assert said.startswith("whole"), errors
            assert generations(lake) == [("q", 1, "remade"), ("r", 1, "rewound")]
        assert step == 1000


def test_a_lake_of_the_version_before_opens_for_reading_and_gains_the_columns_by_writing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mirror.store.engine.lake.MIGRATIONS", MIGRATIONS[:3])
    monkeypatch.setattr("mirror.store.engine.lake.SCHEMA_VERSION", 3)
    inlined = ("sources", "failures", "exports", "completeness", "receipts")
    monkeypatch.setattr("mirror.store.engine.lake.INLINED_TABLES", inlined)
    with Lake(home, deployment="d") as lake, lake.transaction() as engine:
        assert lake_version(Snapshot(engine)) == 3
        engine.execute(
            "INSERT INTO lake.runs (entity, project, run_id, storage_id, synced_at, fingerprint)"
            " VALUES ('e', 'p', 'r', 's', now()::TIMESTAMP, 'f')"
        )
        engine.execute("INSERT INTO lake.sources (entity, project, surplus) VALUES ('e', 'p', 0)")
        engine.execute(
            "INSERT INTO lake.completeness VALUES ('e', 'p', 'r', 0, 1, 1, 0, 0, 0, 0, true, NULL, now()::TIMESTAMP)"
        )
    monkeypatch.undo()
    with connect(home) as reader:
        assert reader.execute("SELECT run_id, updated_at, host FROM runs").fetchall() == [("r", None, None)]
        assert (
            len(reader.execute("FROM sources").fetchall()) == len(reader.execute("FROM completeness").fetchall()) == 1
        )
    with Lake(home, deployment="d") as lake:
        commit(lake, Changes(key=KEY, at=AT, runs=(run(storage_id="s", host="h", updated_at=AT),)))
    with connect(home) as reader:
        assert reader.execute("SELECT host, updated_at FROM runs").fetchall() == [("h", AT.replace(tzinfo=None))]
        for view in VIEWS:
            reader.execute(f"FROM {view}").fetchall()
