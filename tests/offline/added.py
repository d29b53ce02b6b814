"""What a home has of the runs that were added to it, for comparing."""

from __future__ import annotations

from typing import Any

from mirror.layout import Home
from mirror.outbox import OutboxReader
from tests.mirroring import Mirror

# Whatever is said of runs, but when it was said.
_QUESTIONS = {
    "runs": "SELECT * EXCLUDE (synced_at) FROM lake.runs ORDER BY entity, project, run_id",
    "metrics": "SELECT * FROM metrics ORDER BY ALL",
    "history": "SELECT * FROM lake.tails ORDER BY ALL",
    "console": "SELECT * FROM lake.console_lines ORDER BY ALL",
    "system_metrics": "SELECT * FROM lake.system_metrics WHERE key <> '_wandb' ORDER BY ALL",
    "files": "SELECT * EXCLUDE (synced_at) FROM lake.files ORDER BY ALL",
    "artifacts": "SELECT * EXCLUDE (synced_at) FROM lake.artifacts ORDER BY ALL",
    "links": "SELECT * FROM lake.run_artifacts ORDER BY ALL",
    "completeness": "SELECT * EXCLUDE (synced_at) FROM lake.completeness ORDER BY ALL",
    "logs": "SELECT * EXCLUDE (added_at, source, grown_at) FROM lake.offline_logs ORDER BY log",
}


def held(home: Home, *left_out: str) -> dict[str, Any]:
    """Everything, by subject, but some subjects; with what the outbox would deliver."""
    mirror = Mirror(url="http://127.0.0.1:9", api_key="", home=home)
    found: dict[str, Any] = {}
    for subject, question in _QUESTIONS.items():
        if subject not in left_out:
            rows = mirror.ask(question)
            found[subject] = [_plain(row) for row in rows]
    found["queued"] = sorted(
        (placed.entry.kind, str(placed.entry.run_path), getattr(placed.entry.operation, "log", ""))
        for placed in OutboxReader(home).entries()
    )
    return found


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "snapshot"}
