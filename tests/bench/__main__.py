"""`python -m tests.bench`: every bench, one after the other, as a Markdown table; as JSON too, if asked for."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.bench import (
    cold,
    disk,
    first_pull,
    gateway,
    group,
    histories,
    listings,
    many_runs,
    month,
    offline,
    pages,
    replays,
    sql_values,
)
from tests.bench.figures import HEAD, Figure, as_json, as_row
from tests.bench.measuring import Context

BENCHES: dict[str, Callable[[Context], Iterator[Figure]]] = {
    module.__name__.rpartition(".")[2]: module.bench
    for module in (
        first_pull,
        sql_values,
        cold,
        many_runs,
        histories,
        listings,
        replays,
        disk,
        month,
        gateway,
        group,
        offline,
        pages,
    )
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write what came out as soon as it is there."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=BENCHES, metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--size", choices=("small", "full"), default="full")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    asked = parser.parse_args(arguments)
    figures: list[Figure] = []
    sys.stdout.write(HEAD)
    for name in asked.only or BENCHES:
        with tempfile.TemporaryDirectory(prefix="wandb-mirror-bench-") as folder:
            for item in BENCHES[name](Context(Path(folder), asked.size == "full")):
                figures.append(item)
                print(as_row(item), end="", flush=True)
                if asked.json:
                    asked.json.write_text(as_json(figures), encoding="utf-8")
                if asked.markdown:
                    asked.markdown.write_text(HEAD + "".join(map(as_row, figures)), encoding="utf-8")


if __name__ == "__main__":
    main()
