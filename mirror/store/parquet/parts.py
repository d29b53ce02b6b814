"""What an export is divided into: a file a view, or a file a project for what has many rows of runs."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from mirror.records.addresses import ProjectKey
from mirror.store.engine.connection import Engine, sql_name, sql_text
from mirror.store.parquet.manifest import ExportedColumn
from mirror.store.schema.tables import SCHEMA_VERSION
from mirror.store.schema.views import made_views, views

# Of these a file holds one project; of the others it holds all.
_BY_PROJECT = frozenset({
    "runs", "files", "metrics", "system_metrics", "console_lines", "tails", "config_values", "summary_values",
    "generation_metrics", "generation_tails", "generation_rows",
})  # fmt: skip
# The tables of the lake that a view is made of, where it is not the one of its name.
_MADE_OF = {
    "sweeps": ("sweeps", "runs"),
    "logged_tables": ("metrics", "files"),
    "config_values": ("runs",),
    "summary_values": ("runs",),
    "logged_keys": ("runs",),
}
# Rows lie by the first of these that a view has; what is asked by key lies by key.
_ORDER = (
    "key", "entity", "project", "run_id", "artifact_id", "generation", "sweep_id", "id", "log", "name", "path", "step",
    "number", "part", "item", "direction", "timestamp", "value", "text",
)  # fmt: skip
_OF_ARTIFACTS = frozenset({"artifacts", "artifact_files"})
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9-]+")
_LONGEST_NAME = 80


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """A view that is exported."""

    name: str
    columns: list[ExportedColumn]
    tables: tuple[str, ...]  # of the lake, that it is made of
    definition: str  # in SQL

    @property
    def is_by_project(self) -> bool:
        """Whether a file holds one project."""
        return self.name in _BY_PROJECT

    def query(self, condition: str, *, sorted_rows: bool = True) -> str:
        """Its rows for which a condition holds, as they stand in a file."""
        found = f"SELECT {self.listed} FROM {sql_name(self.name)} WHERE {condition}"
        names = {column.name for column in self.columns}
        order = ", ".join(sql_name(name) for name in _ORDER if name in names)
        return f"{found} ORDER BY {order}" if sorted_rows else found

    @property
    def listed(self) -> str:
        """The columns; JSON as a text, which every engine reads."""
        return ", ".join(
            f"{sql_name(column.name)}::VARCHAR AS {sql_name(column.name)}"
            if column.type == "JSON"
            else sql_name(column.name)
            for column in self.columns
        )


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one file holds."""

    relation: Relation
    project: ProjectKey | None  # None: of all projects that are wanted
    condition: str

    @property
    def label(self) -> str:
        """What its file's name begins with; a name from the server never becomes a path as it is."""
        named = "all" if self.project is None else _NOT_IN_NAMES.sub("_", ".".join(self.project).replace(".", "-"))
        return (named.strip("_-") or "project")[:_LONGEST_NAME]

    @property
    def query(self) -> str:
        """Its rows, in order."""
        return self.relation.query(self.condition)


def relations(engine: Engine) -> list[Relation]:
    """The views of a connection that are exported, in order of their names."""
    shown = engine.execute("SELECT view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY ALL").fetchall()
    names = {*views(SCHEMA_VERSION), *made_views()}
    return [
        Relation(name=name, columns=_columns(engine, name), tables=_MADE_OF.get(name, (name,)), definition=text)
        for name, text in shown
        if name in names  # `runs_upstream` is `runs`
    ]


def parts(relation: Relation, projects: Sequence[ProjectKey], *, is_all: bool) -> list[Part]:
    """The parts of a view.

    Args:
        relation: the view.
        projects: that are exported.
        is_all: whether these are all that there are.
    """
    if relation.is_by_project:
        return [Part(relation=relation, project=key, condition=_of([key])) for key in projects]
    return [all_of(relation, projects, is_all=is_all)]


def all_of(relation: Relation, projects: Sequence[ProjectKey], *, is_all: bool) -> Part:
    """A view as one part; arguments as of `parts`."""
    condition = "true" if is_all else _of(projects)
    if not is_all and relation.name in _OF_ARTIFACTS:
        condition = f"({condition} OR artifact_id IN (SELECT artifact_id FROM run_artifacts WHERE {condition}))"
    return Part(relation=relation, project=None, condition=condition)


def nothing_of(relation: Relation) -> Part:
    """A part without rows: its file tells the columns where no project has any."""
    return Part(relation=relation, project=None, condition="false")


def _of(projects: Sequence[ProjectKey]) -> str:
    pairs = [f"(entity = {sql_text(key.entity)} AND project = {sql_text(key.project)})" for key in projects]
    return f"({' OR '.join(pairs)})" if pairs else "false"


def _columns(engine: Engine, name: str) -> list[ExportedColumn]:
    rows = engine.execute(f"DESCRIBE {sql_name(name)}").fetchall()
    return [ExportedColumn(name=str(row[0]), type=str(row[1])) for row in rows]
