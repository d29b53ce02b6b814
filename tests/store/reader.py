"""A reader in a process of its own: `python -m tests.store.reader HOME PAGE`; asks until stdin says stop."""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path

from mirror.layout import Home
from mirror.store.sql.statements import connect, run_sql

QUERY = "SELECT count(*) AS n, count(DISTINCT run_id) AS ids, max(CAST(substr(run_id, 2) AS INT)) AS last FROM runs"


def main() -> None:
    """Print what was seen: the distinct counts in their order, and how often it was asked."""
    home, page = Home(Path(sys.argv[1])), int(sys.argv[2])
    engine = connect(home)
    print("ready", flush=True)
    seen: list[int] = []
    questions = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        questions += 1
        if questions % 20 == 0:  # a connection that is made while somebody writes, too
            engine.close()
            engine = connect(home)
        engine.execute("BEGIN")
        (first,) = run_sql(engine, QUERY).plain_rows()
        (second,) = run_sql(engine, QUERY).plain_rows()
        engine.execute("COMMIT")
        assert first == second, "a transaction saw two commits"
        assert first["n"] == first["ids"], "a run is held twice"
        assert first["n"] % page == 0, f"half a page: {first}"
        assert first["last"] in (None, first["n"] - 1), f"a page is missing: {first}"
        if not seen or seen[-1] != first["n"]:
            seen.append(first["n"])
    assert seen == sorted(seen), "the past came back"
    print(json.dumps({"seen": seen, "questions": questions}), flush=True)


if __name__ == "__main__":
    main()
