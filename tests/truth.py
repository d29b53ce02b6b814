"""What a sandbox serves beside what a mirror holds, value by value: written slowly and plainly, to judge the mirror."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import pyarrow.parquet as pq

from mirror.sandbox import Sandbox
from mirror.sandbox.state.artifacts import content_key
from mirror.sandbox.state.records import RunRecord
from mirror.wandb_protocol.wire import spell
from tests.mirroring import ENTITY, PROJECT, Mirror

SPOKEN = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
Cell = tuple[str, Any]  # the double's repr, the parsed text


def differences(  # noqa: C901 -- one plain comparison after the other
    sandbox: Sandbox, mirror: Mirror, *, entity: str = ENTITY, project: str = PROJECT
) -> list[str]:
    """Everything that a mirror holds otherwise than the server has it; empty is what a test wants.

    Artifact bytes are expected where the mirror says that it wants them.
    """
    found: list[str] = []
    with sandbox.state.lock, mirror.reader() as engine:
        engine.execute("BEGIN")
        runs = sandbox.state.project(entity, project).runs

        def rows(query: str) -> list[tuple[Any, ...]]:
            return engine.execute(f"{query} WHERE entity = ? AND project = ?", [entity, project]).fetchall()

        def differ(what: str, held: Any, true: Any) -> None:
            if held != true:
                found.append(f"{what}: holds {_short(held, true)}, the server has {_short(true, held)}")

        live = sorted(
            name
            for (name,) in engine.execute(
                "SELECT run_id FROM lake.runs WHERE entity = ? AND project = ? AND gone_at IS NULL", [entity, project]
            ).fetchall()
        )
        differ("runs", live, sorted(runs))
        files = {
            (run, name): rest for run, name, *rest in rows("SELECT run_id, name, status, object, size FROM lake.files")
        }
        metrics: dict[str, dict[tuple[str, int], Cell]] = {}
        counted = Counter[tuple[str, str, int]]()
        for run, key, step, value, text in rows("SELECT run_id, key, step, value, text FROM lake.metrics"):
            metrics.setdefault(run, {})[key, step] = repr(value), None if text is None else json.loads(text)
            counted[run, key, step] += 1
        found += [f"metrics: {place} is there {count} times" for place, count in counted.items() if count > 1]
        tails = Counter(rows("SELECT run_id, step FROM lake.tails"))
        console = rows("SELECT run_id, number, line, level, label FROM lake.console_lines")
        events: dict[str, dict[tuple[int, str], Cell]] = {}
        for run, number, key, value, text in rows("SELECT run_id, number, key, value, text FROM lake.system_metrics"):
            where = events.setdefault(run, {})
            if (number, key) in where:
                found.append(f"system_metrics of {run}: {number} {key} is there twice")
            if key != "_wandb":
                where[number, key] = as_spelled((repr(value), None if text is None else json.loads(text)))
        links = rows("SELECT run_id, artifact_id, direction FROM lake.run_artifacts")
        entries = {
            (artifact, path): rest
            for artifact, path, *rest in engine.execute(  # of versions whose project a server does not tell, too
                "SELECT artifact_id, path, digest, status, object FROM lake.artifact_files"
            ).fetchall()
        }
        exports: dict[str, int] = Counter(run for (run,) in rows("SELECT run_id FROM lake.exports"))
        for name, run in runs.items():
            differ(f"exports of {name}", exports.get(name, 0), len(run.parts))
            differ(f"metrics of {name}", metrics.get(name, {}), expected_metrics(sandbox, run))
            held_tail = {step: count for (of, step), count in tails.items() if of == name}
            differ(f"tail of {name}", held_tail, {row["_step"]: 1 for row in unexported(run)})
            lines = sorted(row[1:] for row in console if row[0] == name)
            differ(f"console of {name}", lines, [(n, x.line, x.level, x.label) for n, x in enumerate(run.console)])
            true_events = {
                (number, key): as_spelled(cell(value))
                for number, row in enumerate(run.events)
                for key, value in row.items()
                if key not in {"_timestamp", "_wandb"} and value is not None
            }
            differ(f"system metrics of {name}", events.get(name, {}), true_events)
            listed = {file.name: file for file in run.files.values() if file.listed and file.reference is None}
            kept = {key[1] for key, rest in files.items() if key[0] == name and rest[0] != "gone"}
            differ(f"files of {name}", kept, {_stored(path) for path in listed})
            for path, file in listed.items():
                body = sandbox.state.bucket.get(file.object_key)
                status, digest, _ = files.get((name, _stored(path)), (None, None, None))
                if status != "left_out":
                    differ(f"file {path} of {name}", (status, digest), ("held", _sha256(body or b"")))
            true_links = [(name, one.id, "logged") for one in run.logged] + [(name, one.id, "used") for one in run.used]
            differ(f"artifacts of {name}", sorted(x for x in links if x[0] == name), sorted(set(true_links)))
            for artifact in [*run.logged, *run.used]:
                manifest = json.loads(sandbox.state.bucket.get(str(artifact.manifest_key)) or b"{}")
                mine = {path: rest for (owner, path), rest in entries.items() if owner == artifact.id}
                differ(f"manifest of {artifact.id}", set(mine), set(manifest["contents"]))
                for path, entry in manifest["contents"].items():
                    digest, status, held = mine.get(path, (None, None, None))
                    differ(f"entry {path}", digest, entry["digest"])
                    if status != "left_out":
                        body = sandbox.state.bucket.get(content_key(entry["digest"])) or b""
                        differ(f"bytes of {path}", (status, held), ("held", _sha256(body)))
        named = _named_objects(engine)
    return found + _broken(mirror, named)


def broken_objects(mirror: Mirror) -> list[str]:
    """Objects that are named but not there, or whose bytes are not those of their name."""
    with mirror.reader() as engine:
        named = _named_objects(engine)
    return _broken(mirror, named)


def _named_objects(engine: duckdb.DuckDBPyConnection) -> set[str]:
    """Digests that the tables name."""
    tables = (("files", "object"), ("exports", "object"), ("artifacts", "manifest"), ("artifact_files", "object"))
    each = (f"SELECT {column} FROM lake.{table} WHERE {column} IS NOT NULL" for table, column in tables)
    return {digest for (digest,) in engine.execute(" UNION ".join(each)).fetchall()}


def _broken(mirror: Mirror, named: set[str]) -> list[str]:
    there = {path.name: path for path in mirror.home.objects.glob("*/*")} if mirror.home.objects.exists() else {}
    found = [f"object {digest} is named but not there" for digest in sorted(named - set(there))]
    found += [
        f"object {path.name} has other bytes" for path in there.values() if _sha256(path.read_bytes()) != path.name
    ]
    return found


def expected_metrics(sandbox: Sandbox, run: RunRecord) -> dict[tuple[str, int], Cell]:
    """Each key of each step, from the Parquet parts as served and the live rows as the server spells them."""
    cells: dict[tuple[str, int], Cell] = {}
    for step, row in [*exported_rows(sandbox, run), *((row["_step"], row) for row in unexported_rows(run))]:
        for key, value in row.items():
            if key != "_step" and value is not None:
                cells |= {(name, step): cell(leaf) for name, leaf in leaves(key, value).items()}
    return cells


def leaves(key: str, value: Any) -> dict[str, Any]:
    """The keys of a value as W&B flattens it: those of its members, unless it says its type or is empty."""
    if isinstance(value, bytes):  # JSON, as W&B's own reader takes binary columns
        return leaves(key, json.loads(value))
    members = {name: item for name, item in value.items() if item is not None} if isinstance(value, Mapping) else {}
    if not members or "_type" in members:
        return {key: value}
    return {inner: leaf for name, item in members.items() for inner, leaf in leaves(f"{key}.{name}", item).items()}


def exported_rows(sandbox: Sandbox, run: RunRecord) -> Iterable[tuple[int, dict[str, Any]]]:
    """Rows of the parts that have a step, in the order of the parts."""
    for part in run.parts:
        table = pq.read_table(io.BytesIO(sandbox.state.bucket.get(part.object_key) or b""))
        for row in table.to_pylist():
            if row.get("_step") is not None:
                yield int(row["_step"]), row


def unexported(run: RunRecord) -> list[dict[str, Any]]:
    """Rows that no export holds."""
    return [row for row in run.history if row["_step"] not in run.exported]


def unexported_rows(run: RunRecord) -> list[dict[str, Any]]:
    """The same as they come over the wire."""
    return [json.loads(spell(row, run.nonfinite)) for row in unexported(run)]


def cell(value: Any) -> Cell:
    """One value as `metrics` is documented to hold it."""
    if isinstance(value, bool):
        return repr(float(value)), value
    if isinstance(value, int):
        return repr(float(value)), value if abs(value) > 2**53 else None
    if isinstance(value, float):
        return repr(value), None
    if isinstance(value, str):
        return repr(SPOKEN.get(value)), value
    if isinstance(value, dt.datetime):
        text = value.replace(tzinfo=None).isoformat(timespec="microseconds")
        return repr(None), text + ("Z" if value.tzinfo else "")
    return repr(None), strict(value)


def as_spelled(of: Cell) -> Cell:
    """A system metric: a whole float has a text that spells it, and -0.0 may be 0.0 beside one."""
    return (repr(of[1]), None) if isinstance(of[1], float) else of


def strict(value: Any) -> Any:
    """A nested value as strict JSON holds it: no null members, non-finite numbers as texts."""
    if isinstance(value, Mapping):
        return {key: strict(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _stored(name: str) -> str:
    """A file's name as a column can hold it."""
    return name.replace("\0", "␀").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _short(value: Any, other: Any) -> str:
    """What of a value is not in the other."""
    if isinstance(value, dict) and isinstance(other, dict):
        value = {key: item for key, item in value.items() if key not in other or other[key] != item}
    elif isinstance(value, list) and isinstance(other, list):
        value = [item for item in value if item not in other]
    return repr(value)[:600]
