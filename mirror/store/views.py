"""What `mirror.connect()` shows under plain names, for lakes of this version and of those before it."""

from __future__ import annotations

from mirror.store.generation_tables import GENERATION_TABLES

READABLE_FROM = 2  # a lake of this version or later is read as it is; an older one has to be brought up to date first
# Views whose tables came after READABLE_FROM: a reader of an older lake does without.
SINCE = {"receipts": 3} | dict.fromkeys(GENERATION_TABLES, 4)
# Columns of views that came later: a reader of an older lake sees them empty.
COLUMNS_SINCE = {"runs": (4, "NULL::TIMESTAMP AS updated_at, NULL::VARCHAR AS host")}


def _without(table: str, *columns: str) -> str:
    """All columns but some, whether or not the lake is new enough to have them: EXCLUDE would refuse an older one."""
    return f"SELECT COLUMNS(c -> c NOT IN {columns}) FROM lake.{table}"


# What `mirror.connect()` shows under plain names: the exact wire texts and bookkeeping stay in `lake.*`.
VIEWS: dict[str, str] = {
    "projects": "SELECT * FROM lake.projects",
    "sweeps": (
        "SELECT s.* EXCLUDE (created_at_text), b.best_run FROM lake.sweeps s LEFT JOIN"
        " (SELECT entity, project, sweep_id, arg_min(run_id, score) AS best_run FROM ("
        "   SELECT s.entity, s.project, s.sweep_id, r.run_id,"
        "     if(s.goal = 'maximize', -1, 1) * TRY_CAST(coalesce("
        "       json_extract_string(r.summary, '/' || replace(replace(s.metric, '~', '~0'), '/', '~1')),"
        "       json_extract_string(r.summary, '/' || replace(s.metric, '.', '/'))) AS DOUBLE) AS score"
        "   FROM lake.sweeps s"
        "   JOIN lake.runs r ON r.entity = s.entity AND r.project = s.project AND r.sweep = s.sweep_id"
        "   WHERE s.metric IS NOT NULL AND r.gone_at IS NULL"
        " ) WHERE isfinite(score) GROUP BY entity, project, sweep_id) b"
        " ON b.entity = s.entity AND b.project = s.project AND b.sweep_id = s.sweep_id"
    ),
    "runs": _without(
        "runs",
        *("created_at_text", "heartbeat_at_text", "updated_at_text", "config_wire", "summary_wire"),
        *("system_metrics_wire", "fingerprint", "project_internal_id"),
    ),
    "sources": _without("sources", "walk_through", "surplus", "distrusts_updates", "wanted"),
    "failures": "SELECT * FROM lake.failures",
    "files": "SELECT * EXCLUDE (updated_at_text) FROM lake.files",
    "exports": "SELECT * FROM lake.exports",
    "metrics": "SELECT * FROM lake.metrics",
    "tails": "SELECT * FROM lake.tails",
    "system_metrics": "SELECT * EXCLUDE (number) FROM lake.system_metrics WHERE key <> '_wandb'",
    "console_lines": "SELECT * EXCLUDE (timestamp_text) FROM lake.console_lines",
    "completeness": _without("completeness", "keys_fingerprint", "parts_fingerprint"),
    "artifacts": "SELECT * EXCLUDE (created_at_text, updated_at_text, metadata_wire) FROM lake.artifacts",
    "artifact_files": "SELECT * FROM lake.artifact_files",
    "run_artifacts": "SELECT * FROM lake.run_artifacts",
    "receipts": "SELECT * FROM lake.receipts",
    **{name: f"SELECT * FROM lake.{name}" for name in GENERATION_TABLES},
}
