"""A table that is made of all runs: for each run and key the best step and a smoothed last value, in parallel by Dask.

    wandb-mirror export --parquet tables
    python backfill_dask.py tables derived --key loss

It reads the snapshot that `tables/manifest.json` names, a task a project and group of runs, and writes
`derived/run_scores/*.parquet`, a file a project, whole or not at all. A project whose files are as they were is not
computed again. With `--address` the tasks go to a cluster of `dask.distributed`, whose workers see the same folders.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import dask
import polars

RUNS_OF_A_TASK = 200
SPAN = 20  # rows that the smoothing looks back over
VERSION = 1  # another one computes all again


def scores(path: str, runs: list[str], keys: list[str]) -> polars.DataFrame:
    """One row a run and key, of some runs of one file of `metrics`."""
    found = (
        polars.scan_parquet(path)
        .filter(polars.col("key").is_in(keys), polars.col("run_id").is_in(runs), polars.col("value").is_finite())
        .sort("run_id", "key", "step")
    )
    return (
        found.group_by("entity", "project", "run_id", "key", maintain_order=True)
        .agg(
            points=polars.len(),
            best=polars.col("value").min(),
            best_step=polars.col("step").sort_by("value", "step").first(),
            last=polars.col("value").last(),
            smoothed_last=polars.col("value").ewm_mean(span=SPAN).last(),
        )
        .collect()
    )


def tasks_of(path: str, keys: list[str]) -> list[Any]:
    """The tasks of one file."""
    runs = polars.scan_parquet(path).select(polars.col("run_id").unique().sort()).collect()["run_id"].to_list()
    some = [runs[start : start + RUNS_OF_A_TASK] for start in range(0, len(runs), RUNS_OF_A_TASK)] or [[]]
    return [dask.delayed(scores)(path, part, keys) for part in some]


def write(frames: list[polars.DataFrame], target: Path) -> None:
    """Write a file whole, under a name that readers pass over until it is."""
    temporary = target.with_name(f".tmp-{target.name}")
    polars.concat(frames).write_parquet(temporary, compression="zstd")
    temporary.replace(target)


def backfill(tables: Path, derived: Path, keys: list[str], **how: Any) -> list[Path]:
    """Bring the derived table up to date with an export.

    Args:
        tables: folder of `wandb-mirror export --parquet`.
        derived: folder that gets `run_scores`.
        keys: of metrics.
        how: Dask is to compute, as `dask.compute` takes it.

    Returns:
        The files that were computed.
    """
    manifest = json.loads((tables / "manifest.json").read_text(encoding="utf-8"))
    (metrics,) = [table for table in manifest["tables"] if table["name"] == "metrics"]
    folder = derived / "run_scores"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {}
    for file in metrics["files"]:
        of_what = json.dumps([VERSION, file["sha256"], sorted(keys), SPAN])
        wanted[folder / f"scores-{hashlib.sha256(of_what.encode()).hexdigest()[:16]}.parquet"] = file
    missing = {path: file for path, file in wanted.items() if not path.exists()}
    todo = [tasks_of(str(tables / file["path"]), keys) for file in missing.values()]
    for path, frames in zip(missing, dask.compute(*todo, **how), strict=True):
        write(frames, path)
    for path in folder.glob("*.parquet"):
        if path not in wanted:
            path.unlink()
    return list(missing)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Best step and smoothed last value of each run.")
    parser.add_argument("tables", type=Path)
    parser.add_argument("derived", type=Path)
    parser.add_argument("--key", action="append", required=True, help="of a metric; may be given again")
    parser.add_argument("--address", help="of a scheduler of dask.distributed")
    given = parser.parse_args()
    options: dict[str, Any] = {"scheduler": "threads"}
    if given.address:
        from distributed import Client

        options = {"scheduler": Client(given.address)}
    done = backfill(given.tables, given.derived, given.key, **options)
    print(f"{len(done)} files computed")
