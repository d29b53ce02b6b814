"""A sandbox with finished runs that hold an export and files: `… servers.contents RUNS STEPS KEYS FOLDER STORAGE_URL`.

Their bytes lie in the folder, which `servers.static` serves. To each line of its standard input it answers with the
GraphQL requests that came since the one before, as JSON.
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mirror.sandbox import Sandbox
from mirror.sandbox.histories.keys import key_table
from mirror.sandbox.state.records import ExportPart
from tests.bench.made_runs import config_of, created_at, run_id, summary_of
from tests.mirroring import ENTITY, PROJECT

FILES = {f"file-{number}.bin": 2_000 for number in range(5)}  # sizes in bytes


def fill(sandbox: Sandbox, runs: int, steps: int, keys: int, folder: Path) -> None:
    """Put records into the state and bytes into the folder. All runs share the rows that the state tells of."""
    rng = np.random.default_rng(0)
    names = [f"metric/{key}" for key in range(keys)]
    rows = [{"_step": step, "_timestamp": 1.7e9 + step, **dict.fromkeys(names, 0.5)} for step in range(steps)]
    covered = set(range(steps))
    keys_of_all: dict[str, Any] | None = None
    for number in range(runs):
        run = sandbox.state.add_run(
            ENTITY, PROJECT, run_id(number), config=config_of(number), summary=summary_of(number),
            files={name: rng.bytes(size) for name, size in FILES.items()}, created_at=created_at(number),
        )  # fmt: skip
        run.history, run.exported = rows, covered
        keys_of_all = keys_of_all or key_table(run)
        run._keys = (run.history_version, keys_of_all)
        columns = {"_step": np.arange(steps), "_timestamp": 1.7e9 + np.arange(steps, dtype=float)}
        columns |= {name: rng.normal(size=steps) for name in names}
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink, compression="snappy", write_page_checksum=True)
        part = ExportPart(object_key=f"exports/{run.number}.parquet", rows=steps)
        run.parts = [part]
        objects = {part.object_key: sink.getvalue()}
        for file in run.files.values():
            objects[file.object_key] = sandbox.state.bucket.get(file.object_key) or b""
        for key, content in objects.items():
            path = folder / "storage" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def main() -> None:
    """Fill, say where, and tell of requests until the end of the standard input."""
    runs, steps, keys = (int(word) for word in sys.argv[1:4])
    folder, storage_url = Path(sys.argv[4]), sys.argv[5]
    with Sandbox.start(storage_url_ttl_s=86_400.0) as sandbox:
        sandbox.state.storage = replace(sandbox.state.storage, origin=storage_url)
        fill(sandbox, runs, steps, keys, folder)
        print(sandbox.url, sandbox.api_key, flush=True)
        for _ in sys.stdin:
            asked = [record for record in sandbox.requests.drain() if record.kind == "graphql"]
            print(json.dumps([{"query": one.query, "variables": dict(one.variables)} for one in asked]), flush=True)


if __name__ == "__main__":
    main()
