"""A digest of rows that is equal for equal rows, whatever their order and whatever files they lie in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mirror.store.engine.connection import Engine, sql_name


class RowDigest(NamedTuple):
    """How many rows, and the sum of DuckDB's hash of each."""

    rows: int
    hashes: int


def digest_of_rows(engine: Engine, columns: Iterable[tuple[str, str]], rows: str) -> RowDigest:
    """Of what a query has.

    Args:
        engine: to ask.
        columns: name and type of those that count.
        rows: the query.
    """
    hashed = ", ".join(
        # `hash` takes the two zeros for one
        f"{sql_name(name)}, signbit({sql_name(name)})" if kind == "DOUBLE" else sql_name(name)
        for name, kind in columns
    )
    found = engine.execute(f"SELECT count(*), coalesce(sum(hash({hashed})), 0) FROM ({rows})").fetchone()
    assert found is not None
    return RowDigest(int(found[0]), int(found[1]))
