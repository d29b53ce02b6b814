"""Logs as the SDK writes them, made of our own description of its messages: of any size, in no time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mirror.offline.log.framing import framed
from mirror.offline.log.messages import Record

STARTED = 1_760_000_000


def run_record(
    run_id: str,
    *,
    entity: str = "team",
    project: str = "proj",
    config: Mapping[str, Any] = {},
    started: int = STARTED,
) -> bytes:
    """The record that names a run."""
    record = Record()
    run = record.run
    run.entity, run.project, run.run_id, run.display_name = entity, project, run_id, f"run {run_id}"
    run.start_time.seconds = started
    for key, value in config.items():
        run.config.update.add(key=key, value_json=json.dumps(value))
    return bytes(record.SerializeToString())


def row_record(step: int, row: dict[str, Any], *, started: int = STARTED) -> bytes:
    """A row of a history."""
    record = Record()
    told = row | {"_step": step, "_timestamp": started + step + 0.5, "_runtime": step + 0.5}
    for key, value in told.items():
        record.history.item.add(nested_key=[key], value_json=json.dumps(value))
    record.history.step.num = step
    return bytes(record.SerializeToString())


def summary_record(values: Mapping[str, Any]) -> bytes:
    """New values of a summary."""
    record = Record()
    for key, value in values.items():
        record.summary.update.add(nested_key=[key], value_json=json.dumps(value))
    return bytes(record.SerializeToString())


def line_record(line: str, at: int = STARTED) -> bytes:
    """Output of the program."""
    record = Record()
    record.output_raw.output_type = 1
    record.output_raw.line = line
    record.output_raw.timestamp.seconds = at
    return bytes(record.SerializeToString())


def stats_record(number: int) -> bytes:
    """System metrics."""
    record = Record()
    record.stats.timestamp.seconds = STARTED + number
    record.stats.item.add(key="cpu", value_json=json.dumps(number / 2))
    return bytes(record.SerializeToString())


def file_record(path: str, policy: int = 1) -> bytes:
    """A file that is saved."""
    record = Record()
    record.files.files.add(path=path, policy=policy)
    return bytes(record.SerializeToString())


def exit_record(code: int = 0) -> bytes:
    """The end."""
    record = Record()
    record.exit.exit_code = code
    return bytes(record.SerializeToString())


def run_records(run_id: str, steps: int, *, wide: int = 0, exit_code: int | None = 0, **run: Any) -> Iterator[bytes]:
    """A run that logs `x` and now and then a text, prints, and ends.

    Args:
        run_id: its id.
        steps: rows.
        wide: characters of a text in each row.
        exit_code: None: no end.
        run: see `run_record`.
    """
    yield run_record(run_id, **run)
    started = run.get("started", STARTED)
    for step in range(steps):
        text = {"text": f"{step:x}" * (wide // len(f"{step:x}"))} if wide else {}
        yield row_record(step, {"x": step} | text, started=started)
        if step % 10 == 9:
            yield summary_record({"x": step, "_step": step})
            yield line_record(f"step {step}\n")
            yield stats_record(step)
    if exit_code is not None:
        yield exit_record(exit_code)


def write_log(path: Path, contents: Iterable[bytes]) -> Path:
    """Make a log, or append to one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for piece in framed(contents, file.tell()):
            file.write(piece)
    return path


def offline_log(folder: Path, run_id: str) -> Path:
    """Where the SDK has the log of a run."""
    return folder / "wandb" / f"offline-run-20260101_000000-{run_id}" / f"run-{run_id}.wandb"
