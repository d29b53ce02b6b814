"""A reader in a process of its own: `python -m tests.store.holding_reader HOME`; each line of input is a command.

`hold` begins a transaction and tells what it sees, `again` asks once more inside it, `end` ends it; `loop` reads until
the next line comes. After each, one line with what was seen is printed.
"""

from __future__ import annotations

import select
import sys
from pathlib import Path
from typing import Any

from mirror.layout import Home
from mirror.store.objects.objects import Objects
from mirror.store.sql.statements import connect
from tests.mirroring import ENGINE

QUERIES = (
    "SELECT count(*), sum(hash(COLUMNS(*))::HUGEINT) FROM lake.metrics",
    "SELECT count(*), count(DISTINCT run_id), max(notes) FROM runs",
    "SELECT object, size FROM lake.files WHERE object IS NOT NULL ORDER BY ALL",
    "SELECT count(*) FROM lake.exports",
)


def main() -> None:
    """Obey until the input ends."""
    home = Home(Path(sys.argv[1]))
    engine = connect(home, settings=ENGINE)

    def look() -> str:
        seen: list[Any] = [engine.execute(query).fetchall() for query in QUERIES]
        for digest, size in seen[2]:
            assert Objects(home).size(digest) == size, digest
        return repr(seen).replace("\n", " ")

    print("ready", flush=True)
    for line in sys.stdin:
        match line.strip():
            case "hold":
                engine.execute("BEGIN")
                print(look(), flush=True)
            case "again":
                print(look(), flush=True)
            case "end":
                engine.execute("COMMIT")
                print("ended", flush=True)
            case "loop":
                print("looping", flush=True)
                seen: set[str] = set()
                rounds = 0
                while not select.select([sys.stdin], [], [], 0)[0]:
                    seen.add(look())
                    rounds += 1
                print(f"{rounds} {len(seen)}", flush=True)


if __name__ == "__main__":
    main()
