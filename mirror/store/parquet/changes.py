"""Whether a part is as it was exported: by the lake's own files that hold it, else by its rows.

The first costs a look at the catalog: files of the lake are never changed, so a part whose files are the same has the
same rows. The second reads the part: maintenance, too, makes new files, of the same rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from mirror.records.addresses import ProjectKey
from mirror.store.engine.connection import CATALOG, Engine
from mirror.store.engine.row_digest import digest_of_rows
from mirror.store.parquet.manifest import FORMAT
from mirror.store.parquet.parts import Part, Relation

# Data files of one snapshot with the deletions from them, and what of `entity` and `project` they may hold.
_FILES = f"""
SELECT t.table_name, f.path, coalesce(d.path, ''), e.min_value, e.max_value, p.min_value, p.max_value
FROM {CATALOG}.ducklake_data_file f
JOIN {CATALOG}.ducklake_table t ON t.table_id = f.table_id AND {{t_now}}
LEFT JOIN {CATALOG}.ducklake_delete_file d ON d.data_file_id = f.data_file_id AND {{d_now}}
LEFT JOIN {CATALOG}.ducklake_column ce ON ce.table_id = t.table_id AND ce.column_name = 'entity' AND {{ce_now}}
LEFT JOIN {CATALOG}.ducklake_column cp ON cp.table_id = t.table_id AND cp.column_name = 'project' AND {{cp_now}}
LEFT JOIN {CATALOG}.ducklake_file_column_stats e ON e.data_file_id = f.data_file_id AND e.column_id = ce.column_id
LEFT JOIN {CATALOG}.ducklake_file_column_stats p ON p.data_file_id = f.data_file_id AND p.column_id = cp.column_id
WHERE {{f_now}}
"""
# Small tables may have their rows in the catalog, where nothing names a state of them.
_INLINED = f"""
SELECT t.table_name FROM {CATALOG}.ducklake_inlined_data_tables i JOIN {CATALOG}.ducklake_table t USING (table_id)
"""


class _Span(NamedTuple):
    low: str | None
    high: str | None

    def may_hold(self, name: str) -> bool:
        return self.low is None or self.high is None or self.low <= name <= self.high


class _File(NamedTuple):
    path: str
    deletions: str
    entities: _Span
    projects: _Span


class Sources:
    """The lake's own files of one snapshot.

    Args:
        engine: inside the transaction that is exported.
        snapshot: its snapshot.
    """

    def __init__(self, engine: Engine, snapshot: int) -> None:
        now = {
            f"{alias}_now": (
                f"{alias}.begin_snapshot <= {snapshot}"
                f" AND ({alias}.end_snapshot IS NULL OR {alias}.end_snapshot > {snapshot})"
            )
            for alias in ("t", "d", "f", "ce", "cp")
        }
        self._files: dict[str, list[_File]] = {}
        for table, path, deletions, *spans in engine.execute(_FILES.format(**now)).fetchall():
            found = _File(path, deletions, _Span(*spans[:2]), _Span(*spans[2:]))
            self._files.setdefault(str(table), []).append(found)
        self._inlined = {str(name) for (name,) in engine.execute(_INLINED).fetchall()}

    def of(self, part: Part) -> str:
        """What stays equal while the lake's files of a part do; empty: not known."""
        if self._is_known(part):
            relation = part.relation
            return _digest(
                [str(FORMAT), part.condition, relation.listed, relation.definition, *sorted(self._named(part))]
            )
        return ""

    def have_none_of(self, part: Part) -> bool:
        """Whether a part surely has no row."""
        return self._is_known(part) and not self._named(part)

    def _is_known(self, part: Part) -> bool:
        return not self._inlined.intersection(part.relation.tables)

    def _named(self, part: Part) -> list[str]:
        return [
            f"{table}/{file.path}+{file.deletions}"
            for table in part.relation.tables
            for file in self._files.get(table, ())
            if part.project is None or _may_hold(file, part.project)
        ]


def content_of(engine: Engine, relation: Relation, rows: str) -> str:
    """What is equal for equal rows in whatever order.

    Args:
        engine: to ask.
        relation: whose columns the query has.
        rows: the query.
    """
    found = digest_of_rows(engine, ((column.name, column.type) for column in relation.columns), rows)
    types = [f"{column.name} {column.type}" for column in relation.columns]
    return _digest([str(FORMAT), *types, str(found.rows), str(found.hashes)])


def _may_hold(file: _File, project: ProjectKey) -> bool:
    return file.entities.may_hold(project.entity) and file.projects.may_hold(project.project)


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode(errors="surrogatepass")).hexdigest()[:32]
