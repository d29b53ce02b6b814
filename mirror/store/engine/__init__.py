"""How the lake is opened: one process writes it (`lake`), any number read it (`reader`, `reading`).

Here are DuckDB's connections, the lock, the catalog with its seal and digests, and where DuckDB spills. No table is
known here but `meta`.
"""
