"""Runs as nobody would want them, from a seed: the same seed makes the same runs."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mirror.sandbox import Sandbox
from mirror.sandbox.state.records import ConsoleLine, ExportPart, RunRecord

STEP_TYPES = {"int64": pa.int64(), "double": pa.float64(), "uint64": pa.uint64(), "int32": pa.int32()}
FLOATS = [0.0, -0.0, 1.0, -3.0, 0.1, 1 / 3, 1e308, 5e-324, -1e-9, 123456789.125, 2.0**60, math.nan, math.inf, -math.inf]
INTEGERS = [0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
TEXTS = ["", "plain", "né ☃ 🦆", 'quo"te\\', "NaN", "Infinity", "line\nline\ttab", "x" * 20_000, "null", "1.0", "␀"]
FILE_NAMES = [
    "output.log", "wandb-metadata.json", "media/images/a b.png", "../escape.txt", "/etc/absolute", "C:\\drive\\x.txt",
    "back\\slash", "dir/../dir/x", "case.txt", "CASE.txt", "ü☃.bin", "a" * 300, "dot.", "con", "%2e%2e/x", "a?b*c.txt",
]  # fmt: skip
DOCUMENTS: list[dict[str, Any]] = [
    {},
    {"lr": 0.1, "nested": {"a": [1, 2, {"b": None}]}, "flag": True},
    {"a.b": 1, "a/b": 2, 'a"b': 4, "": 5, "ключ": 6},
    {"big": 2**53 + 1, "bigger": 2**70, "tiny": 5e-324, "zero": -0.0},
    {"nan": math.nan, "up": math.inf, "down": -math.inf},
    {"hist": {"_type": "histogram", "values": [1, 2], "bins": [0, 1, 2]}, "text": "né ☃ 'q' \"d\""},
]


def add_hostile_run(sandbox: Sandbox, entity: str, project: str, run_id: str, seed: int) -> RunRecord:
    """One run; whether it is live, how it is exported and everything that it holds depend on the seed alone."""
    chance = random.Random(seed)
    shape = ("exported", "live", "both", "interleaved", "empty", "by history alone")[seed % 6]
    steps = sorted(chance.sample(range(200), chance.randint(3, 30))) if shape != "empty" else []
    if seed % 11 == 0 and steps:
        steps[-1] = 1_700_000_000  # a clock as a step: a gap that no scan by pages gets through
    rows = _history(chance, steps)
    state = sandbox.state
    run = state.add_run(
        entity,
        project,
        run_id,
        state="running" if shape in {"live", "both", "interleaved"} else chance.choice(["finished", "crashed"]),
        config=chance.choice(DOCUMENTS),
        summary=chance.choice(DOCUMENTS),
        system_metrics=chance.choice([None, {"system.cpu": 12.5, "system.gpu.0.memory": 2**40}]),
        tags=chance.choice([(), ("b", "a", "ü/ü")]),
        notes=chance.choice([None, "line\nline"]),
        history=rows,
        exported=False,
        live_data=shape != "by history alone",
        events=[
            {"_timestamp": 1.7e9 + n, "_runtime": n * 0.5, "_wandb": True, "system.cpu": chance.choice(FLOATS[:11])}
            for n in range(chance.randint(0, 12))
        ],
        console=[
            ConsoleLine(
                line=chance.choice(TEXTS),
                timestamp=chance.choice(["2024-01-01T00:00:00.123456", ""]),
                level=chance.choice(["", "error"]),
                label=chance.choice(["", "rank-0"]),
            )
            for _ in range(chance.randint(0, 12))
        ],
        nonfinite=chance.choice(["bare", "text"]),
    )
    _export(sandbox, run, chance, shape)
    for name in chance.sample(FILE_NAMES, chance.randint(0, 6)):
        body = chance.choice([b"", b"same bytes", chance.randbytes(chance.randint(1, 5000))])
        state.add_file(entity, project, run_id, name, body, md5=chance.choice(["computed", None]))
    if seed % 4 == 1:
        _artifacts(sandbox, entity, project, run, chance)
    return run


def _history(chance: random.Random, steps: list[int]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for step in steps:
        row: dict[str, Any] = {"_step": step, "_timestamp": 1.7e9 + step, "_runtime": step * 0.25}
        makers: dict[str, Callable[[], Any]] = {
            "loss": lambda: chance.choice(FLOATS),
            "count": lambda: chance.choice(INTEGERS),
            "text": lambda: chance.choice(TEXTS),
            "flag": lambda: chance.random() < 0.5,
            "list": lambda: [chance.choice(FLOATS[:11]) for _ in range(chance.randint(1, 3))],
            "deep": lambda: {"a": {"b": chance.choice(FLOATS[:11])}, "c": chance.choice(TEXTS)},
            "hist": lambda: {"_type": "histogram", "values": [1, chance.randint(0, 9)], "bins": [0.0, 0.5, 1.0]},
            "image": lambda: {"_type": "image-file", "path": "media/a.png", "sha256": "00" * 32, "size": 3},
            "ключ/a.b": lambda: chance.randint(-5, 5),
        }
        row |= {key: maker() for key, maker in makers.items() if chance.random() < 0.6}
        rows.append(row)
    return rows


def _export(sandbox: Sandbox, run: RunRecord, chance: random.Random, shape: str) -> None:
    """Parts as W&B writes them: columns of their own, steps of any type, an empty one now and then."""
    if shape in {"live", "empty", "by history alone"} or not run.history:
        return
    rows = run.history
    if shape == "both":
        rows = rows[: max(1, len(rows) // 2)]
    elif shape == "interleaved":
        rows = [row for row in rows if chance.random() < 0.5] or rows[:1]
    with sandbox.state.lock:
        run.exported = {row["_step"] for row in rows}
        count = chance.randint(1, 3)
        pieces = [rows[n * len(rows) // count : (n + 1) * len(rows) // count] for n in range(count)]
        if chance.random() < 0.3:
            pieces.append([])
        for piece in pieces:
            key = f"exports/{run.number}/{sandbox.state.number()}.parquet"
            sandbox.state.bucket.put(key, part_bytes(piece, chance))
            run.parts.append(ExportPart(object_key=key, rows=len(piece)))


def part_bytes(rows: list[dict[str, Any]], chance: random.Random) -> bytes:
    """One part. What a column cannot hold in one type it holds as it would after W&B's own exporter."""
    step_type = STEP_TYPES[chance.choice(list(STEP_TYPES))]
    columns: dict[str, pa.Array] = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(key) for row in rows]
        if key == "_step":
            fits = step_type if all(row["_step"] < 2**31 for row in rows) or step_type != pa.int32() else pa.int64()
            columns[key] = pa.array(values, fits)
        else:
            columns[key] = pa.array(values)
    if rows and chance.random() < 0.2:  # a type that the SDK reads as nothing
        columns["when"] = pa.array([1_700_000_000_123_456 + row["_step"] for row in rows], pa.timestamp("us", tz="UTC"))
    if rows and chance.random() < 0.2:  # the same key in another type than in other parts
        columns["odd"] = pa.array([str(row["_step"]) for row in rows])
    elif rows and chance.random() < 0.3:
        columns["odd"] = pa.array([row["_step"] for row in rows])
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression=chance.choice(["snappy", "zstd"]), write_page_checksum=True)
    return sink.getvalue()


def _artifacts(sandbox: Sandbox, entity: str, project: str, run: RunRecord, chance: random.Random) -> None:
    state = sandbox.state
    made = state.add_artifact(
        entity,
        project,
        f"set-{chance.randint(0, 3)}",
        files={"a.txt": b"shared by all", "b/twin.txt": b"shared by all", "c.bin": chance.randbytes(300), "empty": b""},
        references={"elsewhere": "s3://bucket/key"} if chance.random() < 0.5 else None,
        aliases=["best"],
        tags=["t"],
        metadata={"acc": 0.5, "nested": {"ü": [1, None]}},
        run=run,
    )
    for other in chance.sample(list(state.project(entity, project).runs.values()), 1):
        if made not in other.used:
            other.used.append(made)
            made.used_by.append(other)
