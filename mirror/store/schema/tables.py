"""The tables of the lake: each column stands here, and nowhere else.

Rules: never change what was released but append columns, with the version that adds them; times are TIMESTAMP in UTC.
Names are W&B's own, lower-case. Nothing is partitioned by a name from the server, since DuckLake would turn it into a
folder.
"""

from __future__ import annotations

from functools import partial
from operator import attrgetter

from mirror.store.schema.columns import Table, flag, integer, json, migrations, number, text, texts, time
from mirror.texts.values import config_json, document_json, storable_wire

SCHEMA_VERSION = 7

_key = partial(text, required=True)
_hidden = partial(text, shown=False)
_OF_PROJECT = (_key("entity"), _key("project"))
_OF_RUN = (*_OF_PROJECT, _key("run_id"))
_RUN = ("entity", "project", "run_id")
_SYNCED = time("synced_at", required=True)  # when the mirror wrote the row

META = Table("meta", 1, (_key("key"), text("value", required=True)))

PROJECTS = Table(
    "projects",
    1,
    (
        *_OF_PROJECT, text("storage_id"), text("internal_id"), time("created_at"), text("created_at_text"), _SYNCED,
    ),
    key=("entity", "project"),
)  # fmt: skip

SWEEPS = Table(
    "sweeps",
    1,
    (
        *_OF_PROJECT, _key("sweep_id"), _key("storage_id"), text("display_name"), text("state"), text("method"),
        text("description"), text("config", attrgetter("config_text")), json("search_space"), text("metric"),
        text("goal"), number("best_loss"), integer("run_count"), integer("run_count_expected"), time("created_at"),
        _hidden("created_at_text"), time("updated_at"), time("heartbeat_at"), time("gone_at"), _SYNCED,
    ),
    key=("entity", "project", "sweep_id"),
)  # fmt: skip

RUNS = Table(
    "runs",
    1,
    (
        *_OF_RUN, _key("storage_id"), text("display_name"), text("state"), texts("tags"), text("group"),
        text("job_type"), text("sweep"), text("notes"), text("description"), text("commit"), text("user"),
        text("user_name"), flag("read_only"), time("created_at"), time("heartbeat_at"), integer("history_line_count"),
        json("history_keys", lambda run: document_json(run.history_keys_text)),
        json("config", lambda run: config_json(run.config_text)),
        json("summary", lambda run: document_json(run.summary_text)),
        json("system_metrics", lambda run: document_json(run.system_metrics_text)),
        time("gone_at"), _SYNCED, _hidden("project_internal_id"), _hidden("created_at_text"),
        _hidden("heartbeat_at_text"),
        _hidden("config_wire", lambda run: storable_wire(run.config_text)),
        _hidden("summary_wire", lambda run: storable_wire(run.summary_text)),
        _hidden("system_metrics_wire", lambda run: storable_wire(run.system_metrics_text)),
        _hidden("fingerprint", required=True),
        time("updated_at", since=4), _hidden("updated_at_text", since=4), text("host", since=4),
        text("origin", since=6),
    ),
    key=_RUN,
)  # fmt: skip

# One row a mirrored project: how far it was pulled and how the last pass went.
SOURCES = Table(
    "sources",
    1,
    (
        *_OF_PROJECT, time("watermark"), time("walk_started_at"), _hidden("walk_through"), time("last_walk_at"),
        time("last_pass_at"), text("last_error"), time("last_error_at"), integer("runs_upstream"),
        integer("surplus", required=True, shown=False), flag("distrusts_updates", since=4, shown=False),
        _hidden("wanted", since=5),
    ),
    key=("entity", "project"),
)  # fmt: skip

# What a pass could not take, and why; a success removes the row.
FAILURES = Table(
    "failures",
    1,
    (
        *_OF_RUN, _key("item"), text("reason", required=True), integer("attempts", required=True),
        time("first_at", required=True), time("last_at", required=True), time("next_at", required=True),
        flag("quarantined", required=True),
    ),
)  # fmt: skip

# One row a file that the server listed; `object` is null until its bytes are held.
FILES = Table(
    "files",
    2,
    (
        *_OF_RUN, _key("name"), text("file_id"), integer("size"), text("md5"), text("mimetype"), time("updated_at"),
        _hidden("updated_at_text"), text("object"), text("status", required=True), text("reason"), _SYNCED,
    ),
    key=(*_RUN, "name"),
)  # fmt: skip

# History exports as they were served; `part` numbers them by last step, which is stable, unlike the server's order.
EXPORTS = Table(
    "exports",
    2,
    (
        *_OF_RUN, integer("part", required=True), text("object", required=True),
        integer("bytes", attrgetter("size"), required=True), integer("rows", required=True), integer("min_step"),
        integer("max_step"), flag("complete", required=True), _SYNCED,
    ),
)  # fmt: skip

# The long form of all histories: exports and tails, each key of each step once. `text` is JSON, and null where the
# double says all there is. `metrics.files` writes its files.
_METRIC = (_key("key"), integer("step", required=True), time("timestamp"), number("value"), text("text"))
METRICS = Table("metrics", 2, (*_OF_RUN, *_METRIC))

# Rows that no export holds yet, as the server sent them.
_TAIL = (integer("step"), text("row", lambda tail: storable_wire(tail.row), required=True))
TAILS = Table("tails", 2, (*_OF_RUN, *_TAIL))

SYSTEM_METRICS = Table(
    "system_metrics",
    2,
    (
        *_OF_RUN, _key("key"), integer("number", required=True, shown=False), time("timestamp"), number("value"),
        text("text"),
    ),
)  # fmt: skip

CONSOLE_LINES = Table(
    "console_lines",
    2,
    (
        *_OF_RUN, integer("number", required=True), time("timestamp", attrgetter("at")),
        _hidden("timestamp_text", attrgetter("at_text")), text("level"), text("label"), text("line"),
    ),
)  # fmt: skip

# One row a run whose history was read: three numbers that are compared, never assumed.
COMPLETENESS = Table(
    "completeness",
    2,
    (
        *_OF_RUN, integer("last_step"), integer("history_line_count"), integer("rows_held", required=True),
        integer("shared_rows", required=True), integer("last_step_held"), integer("parts", required=True),
        integer("tail_rows", required=True), flag("complete", required=True), text("reason"), _SYNCED,
        _hidden("keys_fingerprint", since=4), _hidden("parts_fingerprint", since=4),
    ),
)  # fmt: skip

# One row a version; entity and project are those of the collection it was made in, null when that project is gone.
ARTIFACTS = Table(
    "artifacts",
    2,
    (
        _key("artifact_id"), text("entity"), text("project"), text("sequence", required=True),
        text("type", required=True), integer("version_index"), text("state", required=True),
        text("digest", required=True), text("digest_algorithm"), texts("aliases"), texts("tags"),
        json("metadata", lambda record: document_json(record.metadata_text)), text("description"), integer("size"),
        integer("file_count"), text("commit_hash"), integer("history_step"), time("created_at"), time("updated_at"),
        text("manifest"), _SYNCED, _hidden("created_at_text"), _hidden("updated_at_text"),
        _hidden("metadata_wire", lambda record: storable_wire(record.metadata_text)),
    ),
    key=("artifact_id",),
)  # fmt: skip

ARTIFACT_FILES = Table(
    "artifact_files",
    2,
    (
        _key("artifact_id"), text("entity"), text("project"), _key("path", attrgetter("entry.path")),
        _key("digest", attrgetter("entry.digest")), integer("size", attrgetter("entry.size")),
        text("ref", attrgetter("entry.ref")), text("birth_artifact_id", attrgetter("entry.birth_artifact_id")),
        json("extra", attrgetter("entry.extra")), text("object"), text("status", required=True), text("reason"),
        _SYNCED,
    ),
)  # fmt: skip

RUN_ARTIFACTS = Table("run_artifacts", 2, (*_OF_RUN, _key("artifact_id"), _key("direction")))

# One row an end of an operation: delivered, buried or given up. An operation that was retried has several.
RECEIPTS = Table(
    "receipts",
    3,
    (
        _key("id"), *_OF_RUN, text("kind", required=True), json("operation", required=True),
        time("created_at", required=True), time("ended_at", required=True), text("outcome", required=True),
        integer("attempts", required=True), json("sent"), text("answer", lambda receipt: receipt.answer or None),
        number("duration_s", required=True), texts("folded"),
    ),
)  # fmt: skip

# One row a superseded generation of a run's history, or of the whole run where it was deleted and made again under its
# id. What it held is in the four tables below; `superseded_at` is when the mirror replaced it.
_OF_GENERATION = (*_OF_RUN, integer("generation", required=True))
REMADE = "remade"  # why a generation was superseded: the run was deleted upstream, and made again
GENERATIONS = Table(
    "generations",
    4,
    (
        *_OF_GENERATION, text("reason", required=True), time("superseded_at", required=True), text("storage_id"),
        time("created_at"), integer("last_step"), integer("history_line_count"), integer("rows_held"),
        integer("parts"), integer("tail_rows"), flag("complete"),
    ),
)  # fmt: skip
GENERATION_EXPORTS = Table(
    "generation_exports",
    4,
    (
        *_OF_GENERATION, integer("part", required=True), text("object", required=True), integer("bytes", required=True),
        integer("rows", required=True), integer("min_step"), integer("max_step"),
    ),
)  # fmt: skip
GENERATION_TAILS = Table("generation_tails", 4, (*_OF_GENERATION, *_TAIL))
GENERATION_METRICS = Table("generation_metrics", 4, (*_OF_GENERATION, *_METRIC))
# Of a run that was made again: its row, files, console lines, system metrics and artifacts, each as a JSON object whose
# names are the columns of the table that it was in.
GENERATION_ROWS = Table(
    "generation_rows", 4, (*_OF_GENERATION, _key("table"), text("object"), json("row", required=True))
)
OF_GENERATIONS = (GENERATIONS, GENERATION_EXPORTS, GENERATION_TAILS, GENERATION_METRICS, GENERATION_ROWS)

# What earlier forms of an export's rows had told (`earlier_forms`); one row an export of which something is known.
EARLIER_FORMS = Table("earlier_forms", 4, (*_OF_RUN, _key("export"), text("object", required=True)))

# One row a log of the SDK's that was added: how far it is in the tables above (see `offline`).
OFFLINE_LOGS = Table(
    "offline_logs",
    6,
    (
        *_OF_RUN, _key("log"), text("source", required=True), integer("bytes", required=True),
        integer("rows", required=True), integer("console_lines", required=True), integer("event_rows", required=True),
        integer("first_step", required=True), integer("damaged", required=True), text("damage"),
        flag("ended", required=True), integer("exit_code"), time("started_at"), time("added_at", required=True),
        time("grown_at"), time("delivered_at"), text("job_type", since=7), text("replaced_tags", since=7),
        integer("alerts", since=7),
    ),
    key=("log",),
)  # fmt: skip

TABLES = (
    META, PROJECTS, SWEEPS, RUNS, SOURCES, FAILURES, FILES, EXPORTS, METRICS, TAILS, SYSTEM_METRICS, CONSOLE_LINES,
    COMPLETENESS, ARTIFACTS, ARTIFACT_FILES, RUN_ARTIFACTS, RECEIPTS, *OF_GENERATIONS, EARLIER_FORMS,
    OFFLINE_LOGS,
)  # fmt: skip
MIGRATIONS = migrations(TABLES, SCHEMA_VERSION)
# Small tables that change on every pass live inside the catalog, so that a pass that finds nothing leaves no file.
# DuckLake takes this option only for a table that is committed.
INLINED_TABLES = (
    "meta", "sources", "failures", "exports", "completeness", "receipts", "generations", "generation_exports",
    "earlier_forms", "offline_logs",
)  # fmt: skip
INLINED_ROWS = 1000
