"""The views as files for other engines: Parquet or Iceberg in a folder, and a manifest that names them.

Words: a **part** is what one file holds: a view, or what one project has in it; the **manifest** names the files that
make up one snapshot of the lake. Reading order: `manifest`, `parts`, `changes`, `export`; `parquet_files` and
`iceberg` are what it may write, `exporting` begins one.
"""
