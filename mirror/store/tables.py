"""The lake's tables and their versions. A migration is a list of statements, applied in one commit.

Rules for a migration: never edit one that was released, append a new one; add columns rather than change them; times
are TIMESTAMP in UTC. Names are W&B's own, lower-case. Nothing is partitioned by a name from the server, since DuckLake
would turn it into a folder.
"""

from __future__ import annotations

from mirror.store.generation_tables import GENERATION_TABLES

RUNS = """
CREATE TABLE lake.runs (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    storage_id VARCHAR NOT NULL,
    display_name VARCHAR,
    state VARCHAR,
    tags VARCHAR[],
    "group" VARCHAR,
    job_type VARCHAR,
    sweep VARCHAR,
    notes VARCHAR,
    description VARCHAR,
    "commit" VARCHAR,
    "user" VARCHAR,
    user_name VARCHAR,
    read_only BOOLEAN,
    created_at TIMESTAMP,
    heartbeat_at TIMESTAMP,
    history_line_count BIGINT,
    history_keys JSON,
    config JSON,
    summary JSON,
    system_metrics JSON,
    gone_at TIMESTAMP,
    synced_at TIMESTAMP NOT NULL,
    project_internal_id VARCHAR,
    created_at_text VARCHAR,
    heartbeat_at_text VARCHAR,
    config_wire VARCHAR,
    summary_wire VARCHAR,
    system_metrics_wire VARCHAR,
    fingerprint VARCHAR NOT NULL
)
"""

PROJECTS = """
CREATE TABLE lake.projects (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    storage_id VARCHAR,
    internal_id VARCHAR,
    created_at TIMESTAMP,
    created_at_text VARCHAR,
    synced_at TIMESTAMP NOT NULL
)
"""

SWEEPS = """
CREATE TABLE lake.sweeps (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    sweep_id VARCHAR NOT NULL,
    storage_id VARCHAR NOT NULL,
    display_name VARCHAR,
    state VARCHAR,
    method VARCHAR,
    description VARCHAR,
    config VARCHAR,
    search_space JSON,
    metric VARCHAR,
    goal VARCHAR,
    best_loss DOUBLE,
    run_count BIGINT,
    run_count_expected BIGINT,
    created_at TIMESTAMP,
    created_at_text VARCHAR,
    updated_at TIMESTAMP,
    heartbeat_at TIMESTAMP,
    gone_at TIMESTAMP,
    synced_at TIMESTAMP NOT NULL
)
"""

# One row a mirrored project: how far it was pulled and how the last pass went.
SOURCES = """
CREATE TABLE lake.sources (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    watermark TIMESTAMP,
    walk_started_at TIMESTAMP,
    walk_through VARCHAR,
    last_walk_at TIMESTAMP,
    last_pass_at TIMESTAMP,
    last_error VARCHAR,
    last_error_at TIMESTAMP,
    runs_upstream BIGINT,
    surplus BIGINT NOT NULL
)
"""

# What a pass could not take, and why; a success removes the row.
FAILURES = """
CREATE TABLE lake.failures (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    item VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    attempts BIGINT NOT NULL,
    first_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP NOT NULL,
    next_at TIMESTAMP NOT NULL,
    quarantined BOOLEAN NOT NULL
)
"""

# One row a file that the server listed; `object` is null until its bytes are held.
FILES = """
CREATE TABLE lake.files (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    file_id VARCHAR,
    size BIGINT,
    md5 VARCHAR,
    mimetype VARCHAR,
    updated_at TIMESTAMP,
    updated_at_text VARCHAR,
    object VARCHAR,
    status VARCHAR NOT NULL,
    reason VARCHAR,
    synced_at TIMESTAMP NOT NULL
)
"""

# History exports as they were served; `part` numbers them by last step, which is stable, unlike the server's order.
EXPORTS = """
CREATE TABLE lake.exports (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    part BIGINT NOT NULL,
    object VARCHAR NOT NULL,
    bytes BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    min_step BIGINT,
    max_step BIGINT,
    complete BOOLEAN NOT NULL,
    synced_at TIMESTAMP NOT NULL
)
"""

# The long form of all histories: exports and tails, each key of each step once. `text` is JSON, and null where the
# double says all there is. Files come from `metric_files`, whose columns must stay equal to these.
METRICS = """
CREATE TABLE lake.metrics (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    timestamp TIMESTAMP,
    value DOUBLE,
    text VARCHAR
)
"""

# Rows that no export holds yet, as the server sent them.
TAILS = """
CREATE TABLE lake.tails (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    step BIGINT,
    row VARCHAR NOT NULL
)
"""

SYSTEM_METRICS = """
CREATE TABLE lake.system_metrics (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    key VARCHAR NOT NULL,
    number BIGINT NOT NULL,
    timestamp TIMESTAMP,
    value DOUBLE,
    text VARCHAR
)
"""

CONSOLE_LINES = """
CREATE TABLE lake.console_lines (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    number BIGINT NOT NULL,
    timestamp TIMESTAMP,
    timestamp_text VARCHAR,
    level VARCHAR,
    label VARCHAR,
    line VARCHAR
)
"""

# One row a run whose history was read: three numbers that are compared, never assumed.
COMPLETENESS = """
CREATE TABLE lake.completeness (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    last_step BIGINT,
    history_line_count BIGINT,
    rows_held BIGINT NOT NULL,
    shared_rows BIGINT NOT NULL,
    last_step_held BIGINT,
    parts BIGINT NOT NULL,
    tail_rows BIGINT NOT NULL,
    complete BOOLEAN NOT NULL,
    reason VARCHAR,
    synced_at TIMESTAMP NOT NULL
)
"""

# One row a version; entity and project are those of the collection it was made in, null when that project is gone.
ARTIFACTS = """
CREATE TABLE lake.artifacts (
    artifact_id VARCHAR NOT NULL,
    entity VARCHAR,
    project VARCHAR,
    sequence VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    version_index BIGINT,
    state VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    digest_algorithm VARCHAR,
    aliases VARCHAR[],
    tags VARCHAR[],
    metadata JSON,
    description VARCHAR,
    size BIGINT,
    file_count BIGINT,
    commit_hash VARCHAR,
    history_step BIGINT,
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    manifest VARCHAR,
    synced_at TIMESTAMP NOT NULL,
    created_at_text VARCHAR,
    updated_at_text VARCHAR,
    metadata_wire VARCHAR
)
"""

ARTIFACT_FILES = """
CREATE TABLE lake.artifact_files (
    artifact_id VARCHAR NOT NULL,
    entity VARCHAR,
    project VARCHAR,
    path VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    size BIGINT,
    ref VARCHAR,
    birth_artifact_id VARCHAR,
    extra JSON,
    object VARCHAR,
    status VARCHAR NOT NULL,
    reason VARCHAR,
    synced_at TIMESTAMP NOT NULL
)
"""

RUN_ARTIFACTS = """
CREATE TABLE lake.run_artifacts (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    artifact_id VARCHAR NOT NULL,
    direction VARCHAR NOT NULL
)
"""

# One row an end of an operation: delivered, buried or given up. An operation that was retried has several.
RECEIPTS = """
CREATE TABLE lake.receipts (
    id VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    operation JSON NOT NULL,
    created_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP NOT NULL,
    outcome VARCHAR NOT NULL,
    attempts BIGINT NOT NULL,
    sent JSON,
    answer VARCHAR,
    duration_s DOUBLE NOT NULL,
    folded VARCHAR[]
)
"""

# What earlier forms of an export's rows had told (`earlier_forms`); one row an export of which something is known.
EARLIER_FORMS = """
CREATE TABLE lake.earlier_forms (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    export VARCHAR NOT NULL,
    object VARCHAR NOT NULL
)
"""

META = "CREATE TABLE lake.meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL)"

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (META, PROJECTS, SWEEPS, RUNS, SOURCES, FAILURES),  # version 1
    (  # version 2
        FILES,
        EXPORTS,
        METRICS,
        TAILS,
        SYSTEM_METRICS,
        CONSOLE_LINES,
        COMPLETENESS,
        ARTIFACTS,
        ARTIFACT_FILES,
        RUN_ARTIFACTS,
    ),
    (RECEIPTS,),  # version 3
    (  # version 4
        "ALTER TABLE lake.runs ADD COLUMN updated_at TIMESTAMP",
        "ALTER TABLE lake.runs ADD COLUMN updated_at_text VARCHAR",
        "ALTER TABLE lake.runs ADD COLUMN host VARCHAR",
        "ALTER TABLE lake.sources ADD COLUMN distrusts_updates BOOLEAN",
        "ALTER TABLE lake.sources ADD COLUMN wanted VARCHAR",
        "ALTER TABLE lake.completeness ADD COLUMN keys_fingerprint VARCHAR",
        "ALTER TABLE lake.completeness ADD COLUMN parts_fingerprint VARCHAR",
        *GENERATION_TABLES.values(),
        EARLIER_FORMS,
    ),
)
SCHEMA_VERSION = len(MIGRATIONS)
# Small tables that change on every pass live inside the catalog, so that a pass that finds nothing leaves no file.
# DuckLake takes this option only for a table that is committed.
INLINED_TABLES = (
    "sources", "failures", "exports", "completeness", "receipts", "generations", "generation_exports", "earlier_forms",
)  # fmt: skip
INLINED_ROWS = 1000
