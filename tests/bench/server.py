"""A sandbox in a process of its own: `python -m tests.bench.server RUNS [LATENCY_S]`; it ends with its stdin."""

from __future__ import annotations

import sys

from mirror.sandbox import Fault, Sandbox
from tests.mirroring import ENTITY, PROJECT


def main() -> None:
    """Fill, say where, and wait."""
    with Sandbox.start() as sandbox:
        for number in range(int(sys.argv[1])):
            config = {"lr": 0.1 / (number + 1), "layers": [64, 64, 10], "name": f"model-{number % 7}", "seed": number}
            summary = {f"metric/{key}": number / (key + 1) for key in range(20)}
            when = f"2024-01-{1 + number // 86400:02}T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
            sandbox.state.add_run(ENTITY, PROJECT, f"r{number:06}", config=config, summary=summary, created_at=when)
        if len(sys.argv) > 2 and float(sys.argv[2]):
            sandbox.faults.add(Fault.latency(float(sys.argv[2])))
        print(sandbox.url, sandbox.api_key, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
