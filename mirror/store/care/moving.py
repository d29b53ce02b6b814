"""The rows of one lake into another, in parts that are compared before and after: so it goes on where it was cut off.

A part is a table, or what a table has of one project; what is compared is a digest of its rows. One transaction copies
a part; a crash leaves it as it was. Earlier states of the lake do not come along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mirror.errors import Refused, StoreError
from mirror.store.care.tables import METRICS_ORDER
from mirror.store.engine.connection import LAKE, Engine, sql_name, sql_text
from mirror.store.engine.lake import Lake
from mirror.store.engine.meta import MOVING, is_empty, lake_meta
from mirror.store.engine.queries import Snapshot
from mirror.store.engine.row_digest import RowDigest, digest_of_rows
from mirror.store.engine.storage import Storage

SOURCE = "source"  # the name under which the other lake is attached
_OF_PROJECT = {"entity", "project"}


class Part(NamedTuple):
    """What is copied and compared together."""

    table: str
    columns: tuple[tuple[str, str], ...]  # name and type
    where: str  # SQL
    said: str  # for a person


class Moved(NamedTuple):
    """What it came to."""

    parts: int
    copied: int  # of them; the others were there already
    rows: int  # of all


def move_rows(target: Lake, source: Storage, told: Callable[[Part, bool], None] = lambda *_: None) -> Moved:
    """Make one lake hold what another holds. It says so until `end_move`, so that nobody else writes it.

    Args:
        target: opened for writing, with `moving` saying from where.
        source: whose rows; nobody writes it meanwhile.
        told: called with each part that is done, and whether it was copied.

    Raises:
        Refused: it holds what the other does not hold, or holds otherwise, and that was not begun from there.
        StoreError: a disk, a database or a bucket failed, or a part is another after it was copied. What was copied
            stays, and doing it again goes on.
    """
    with target.reading() as engine:
        source.attach_to_read(engine, SOURCE)
        parts = [part for table in _tables(engine, SOURCE) for part in _parts(engine, table)]
        _refuse_others(engine, parts)
        snapshot = Snapshot(engine)
        may_replace = is_empty(snapshot) or (lake_meta(snapshot) or {}).get(MOVING) == target.moving
    copied = rows = 0
    for part in parts:
        with target.reading() as engine:
            wanted, held = _digest(engine, SOURCE, part), _digest(engine, LAKE, part)
        if is_due := wanted != held:
            if not may_replace:
                raise Refused(
                    f"the lake there holds other rows already ({part.said}), which the move would replace",
                    hint="choose an empty place; a folder `lake` from before an earlier move may be moved away first",
                )
            with target.transaction() as engine:
                _mark(engine, target.moving)
                _copy(engine, part)
            with target.reading() as engine:
                held = _digest(engine, LAKE, part)
            if wanted != held:
                raise StoreError(
                    f"{part.said} is another after it was copied: {held.rows} rows, and {wanted.rows} before",
                    hint="nothing was switched; do it again, and report it if that does not help",
                )
        copied += is_due
        rows += wanted.rows
        told(part, is_due)
    return Moved(parts=len(parts), copied=copied, rows=rows)


def end_move(target: Lake) -> None:
    """Say that all is there, the objects as well.

    Raises:
        StoreError: it could not be said; doing the move again does.
    """
    with target.transaction() as engine:
        engine.execute(f"DELETE FROM {LAKE}.meta WHERE key = {sql_text(MOVING)}")


def _mark(engine: Engine, moving: str | None) -> None:
    known = engine.execute(f"SELECT 1 FROM {LAKE}.meta WHERE key = {sql_text(MOVING)}").fetchone()
    if known is None and moving is not None:
        engine.execute(f"INSERT INTO {LAKE}.meta (key, value) VALUES ({sql_text(MOVING)}, {sql_text(moving)})")


def _copy(engine: Engine, part: Part) -> None:
    columns = ", ".join(sql_name(name) for name, _ in part.columns)
    order = f" ORDER BY {METRICS_ORDER}" if part.table == "metrics" else ""
    engine.execute(f"DELETE FROM {LAKE}.{part.table} WHERE {part.where}")
    engine.execute(
        f"INSERT INTO {LAKE}.{part.table} ({columns}) SELECT {columns} FROM {SOURCE}.{part.table}"
        f" WHERE {part.where}{order}"
    )


def _digest(engine: Engine, lake: str, part: Part) -> RowDigest:
    return digest_of_rows(engine, part.columns, f"FROM {lake}.{part.table} WHERE {part.where}")


def _tables(engine: Engine, lake: str) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    rows = engine.execute(
        "SELECT table_name, list((column_name, data_type) ORDER BY column_name) FROM duckdb_columns()"
        f" WHERE database_name = {sql_text(lake)} AND schema_name = 'main' GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return [(str(table), tuple(columns)) for table, columns in rows]


def _parts(engine: Engine, table: tuple[str, tuple[tuple[str, str], ...]]) -> list[Part]:
    """A table in parts: of each project that either lake has, and of what belongs to none."""
    name, columns = table
    if not _OF_PROJECT.issubset(column for column, _ in columns):
        return [Part(name, columns, f"key <> {sql_text(MOVING)}" if name == "meta" else "true", name)]
    known = [lake for lake in (SOURCE, LAKE) if (name, columns) in _tables(engine, lake)]
    named = " UNION ".join(f"SELECT entity, project FROM {lake}.{name}" for lake in known)
    return [
        Part(
            name,
            columns,
            f"entity IS NOT DISTINCT FROM {_value(entity)} AND project IS NOT DISTINCT FROM {_value(project)}",
            f"{name} of {entity}/{project}",
        )
        for entity, project in engine.execute(f"SELECT DISTINCT * FROM ({named}) ORDER BY ALL").fetchall()
    ]


def _value(text: str | None) -> str:
    return "NULL" if text is None else sql_text(text)


def _refuse_others(engine: Engine, parts: list[Part]) -> None:
    """Refuse a lake that has other tables: it is of another version.

    Raises:
        StoreError: it is.
    """
    wanted, held = {(part.table, part.columns) for part in parts}, set(_tables(engine, LAKE))
    for table, columns in wanted - held:
        missing = {name for name, _ in set(columns) - set(dict(held).get(table, ()))}
        raise StoreError(
            f"the other lake does not have {', '.join(sorted(missing)) or 'the same columns'} in `{table}`",
            hint="`wandb-mirror pull` brings the older one up to date; use one version of wandb-mirror for both",
        )
