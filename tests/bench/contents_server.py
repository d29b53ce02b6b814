"""A sandbox with finished runs in a process of its own: `python -m tests.bench.contents_server RUNS STEPS KEYS`."""

from __future__ import annotations

import sys

import numpy as np

from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT

FILES = {f"file-{number}.bin": 2_000 for number in range(5)}  # sizes in bytes


def main() -> None:
    """Fill, say where, and wait for the end of stdin."""
    runs, steps, keys = (int(word) for word in sys.argv[1:4])
    rng = np.random.default_rng(0)
    with Sandbox.start() as sandbox:
        for number in range(runs):
            columns = rng.normal(size=(keys, steps)).tolist()
            history = [
                {
                    "_step": step,
                    "_timestamp": 1.7e9 + step,
                    **{f"metric/{key}": columns[key][step] for key in range(keys)},
                }
                for step in range(steps)
            ]
            files = {name: rng.bytes(size) for name, size in FILES.items()}
            when = f"2024-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}"
            sandbox.state.add_run(
                ENTITY, PROJECT, f"r{number:04}", config={"lr": number}, summary={"loss": 0.5}, history=history,
                exported=True, files=files, created_at=when, heartbeat_at=when,
            )  # fmt: skip
        print(sandbox.url, sandbox.api_key, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
