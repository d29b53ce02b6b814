"""A sandbox with so many runs, each with a config and a summary: `python -m tests.bench.servers.runs RUNS`."""

from __future__ import annotations

import sys

from mirror.sandbox import Sandbox
from tests.bench.made_runs import config_of, created_at, run_id, summary_of
from tests.mirroring import ENTITY, PROJECT


def main() -> None:
    """Fill, say where, and wait for the end of the standard input."""
    with Sandbox.start() as sandbox:
        for number in range(int(sys.argv[1])):
            sandbox.state.add_run(
                ENTITY, PROJECT, run_id(number), config=config_of(number), summary=summary_of(number),
                created_at=created_at(number),
            )  # fmt: skip
        print(sandbox.url, sandbox.api_key, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
