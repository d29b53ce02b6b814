"""The lake: tables in DuckLake, a SQLite catalog plus Parquet files. The only place that knows DuckDB and Arrow.

Words: the **catalog** says which Parquet files make up which table; a **commit** is one lake transaction, the only way
anything becomes visible; a **snapshot** is what a reader sees, one commit, whole. One process writes (`Lake`, which
holds `writer.lock`); any number read (`connect`) and never block it.

It owns everything below `lake/`. It never opens a socket, never asks W&B, and lets no DuckDB error leave.
"""
