"""The lake's tables of earlier generations; `generations` fills them, and `tables` says since when they are there."""

from __future__ import annotations

# One row a superseded generation of a run's history, or of the whole run where it was deleted and made again under its
# id. What it held is in the four tables below; `superseded_at` is when the mirror replaced it.
GENERATIONS = """
CREATE TABLE lake.generations (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    generation BIGINT NOT NULL,
    reason VARCHAR NOT NULL,
    superseded_at TIMESTAMP NOT NULL,
    storage_id VARCHAR,
    created_at TIMESTAMP,
    last_step BIGINT,
    history_line_count BIGINT,
    rows_held BIGINT,
    parts BIGINT,
    tail_rows BIGINT,
    complete BOOLEAN
)
"""

GENERATION_EXPORTS = """
CREATE TABLE lake.generation_exports (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    generation BIGINT NOT NULL,
    part BIGINT NOT NULL,
    object VARCHAR NOT NULL,
    bytes BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    min_step BIGINT,
    max_step BIGINT
)
"""

GENERATION_TAILS = """
CREATE TABLE lake.generation_tails (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    generation BIGINT NOT NULL,
    step BIGINT,
    row VARCHAR NOT NULL
)
"""

GENERATION_METRICS = """
CREATE TABLE lake.generation_metrics (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    generation BIGINT NOT NULL,
    key VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    timestamp TIMESTAMP,
    value DOUBLE,
    text VARCHAR
)
"""

# Of a run that was made again: its row, files, console lines, system metrics and artifacts, each as a JSON object whose
# names are the columns of the table that it was in.
GENERATION_ROWS = """
CREATE TABLE lake.generation_rows (
    entity VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    generation BIGINT NOT NULL,
    "table" VARCHAR NOT NULL,
    object VARCHAR,
    row JSON NOT NULL
)
"""

GENERATION_TABLES = {
    "generations": GENERATIONS,
    "generation_exports": GENERATION_EXPORTS,
    "generation_tails": GENERATION_TAILS,
    "generation_metrics": GENERATION_METRICS,
    "generation_rows": GENERATION_ROWS,
}
