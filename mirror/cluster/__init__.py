"""A lake that a group shares: its catalog in PostgreSQL, its Parquet files and objects in a bucket.

Words: the **place** is where such a lake stands; the **lease** is the right to write it, which one process has at a
time; its **token** is a number that rises with each lease, and that PostgreSQL asks of whoever changes the catalog.

Reading order: `place`, `postgres` and `bucket` for how both are reached, `silence` for a database that does not answer,
`schema` for what is added to DuckLake's own tables, `lease`. What the engine sees is `store.engine.shared_storage`,
what the objects see `store.objects.bucket_objects`.
"""
