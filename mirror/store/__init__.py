"""The lake: tables in DuckLake, a SQLite catalog plus Parquet files. The only place that knows DuckDB and Arrow.

Words: the **catalog** says which Parquet files make up which table; a **commit** is one lake transaction, the only way
anything becomes visible; a **snapshot** is what a reader sees, one commit, whole. One process writes (`Lake`, which
holds `writer.lock`); any number read (`connect`) and never block it.

It owns everything below `lake/`. It never opens a socket, never asks W&B, and lets no DuckDB error leave.
"""

from mirror.store.engine.connection import Engine
from mirror.store.engine.lake import Lake
from mirror.store.engine.reading import connect
from mirror.store.read.query import Column, ResultSet, run_sql

__all__ = ["Column", "Engine", "Lake", "ResultSet", "connect", "run_sql"]
