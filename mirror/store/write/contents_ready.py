"""The slow part of committing contents, done before the transaction: sync the objects, decide, fold, write Parquet.

A history that only grew at its end is appended. Any other change rebuilds the run's metrics from all parts and the
whole tail: new exports, rows between or below those that are held, a step written again. Both leave each key of each
step once, since what a rebuild adds replaces everything that the run had.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from operator import lt
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from mirror.errors import LakeAway, StoreError
from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.contents import (
    ArtifactChange,
    Completeness,
    ContentChanges,
    ExportRow,
    HeldHistory,
    HistoryChange,
    TailRow,
    judge_completeness,
)
from mirror.store.engine.lake import Lake
from mirror.store.engine.queries import Queryable
from mirror.store.history.earlier_forms import EarlierForms
from mirror.store.history.lost_forms import lost_forms
from mirror.store.history.parts import ExportPart, RowsPart, open_export
from mirror.store.metrics.files import MetricFile, remove_uncommitted, write_metrics
from mirror.store.metrics.fold import Folded, fold_exports, fold_rows
from mirror.store.objects.objects import Objects
from mirror.store.read.histories import earlier_forms, held_histories, held_rows_at, held_tails
from mirror.store.write.generations import superseded_histories
from mirror.texts.values import storable_wire


class ReadyHistory(msgspec.Struct, frozen=True, kw_only=True):
    """One run's history as the transaction writes it."""

    run_id: str
    exports: tuple[ExportRow, ...] | None  # by last step; None: as held
    earlier: Mapping[str, str] = {}  # by export: digest of what earlier forms of its rows had told
    tail: tuple[TailRow, ...]
    held: bool  # the lake has something of it
    replaces: bool  # metrics and tail that are held go first
    completeness: Completeness


class ReadyContents(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one transaction writes; the objects are durable, the metrics are in files that no snapshot names."""

    key: ProjectKey
    runs: tuple[ContentChanges, ...]
    new: frozenset[str]  # ids of runs of which the lake holds nothing
    histories: tuple[ReadyHistory, ...]
    artifacts: tuple[ArtifactChange, ...]
    metrics: tuple[MetricFile, ...]
    superseded: Mapping[str, str]  # reason by run id: histories that lose rows or values that are held


def prepare(
    lake: Lake,
    key: ProjectKey,
    objects: Objects,
    runs: Sequence[ContentChanges],
    artifacts: Sequence[ArtifactChange] = (),
    *,
    new: frozenset[str] = frozenset(),
    remade: frozenset[str] = frozenset(),
) -> ReadyContents:
    """Make everything ready that needs no transaction.

    Args:
        lake: read for what is held; nobody else writes it, since it holds the writer's lock.
        key: the project of all the runs.
        objects: where every object that is named lies.
        runs: each run once.
        artifacts: each version once.
        new: ids of runs of which the lake holds nothing, so that it is not asked.
        remade: ids of runs of which the transaction removes everything first, so that nothing of it counts as held.

    Raises:
        UnreadableExport: a part is damaged; nothing is left behind.
        StoreError: the disk failed, or an object is missing; nothing is left behind.
    """
    objects.sync(_named_objects(runs, artifacts))
    new = frozenset(new | remade)
    project = (key.entity, key.project)
    changed = [run for run in runs if run.history is not None]
    held = {run.run_id: HeldHistory() for run in changed}
    known = [run_id for run_id in held if run_id not in new]
    with lake.snapshot() as held_now:
        held |= held_histories(held_now, key, known, whole=False) if known else {}
        ends = _tail_ends(held_now, key, changed, held)
        wanted = {run.run_id: _without_known(run.history, ends.get(run.run_id, ())) for run in changed if run.history}
        growing = {run_id for run_id, change in wanted.items() if grows(change, held[run_id])}
        rebuilt = [run_id for run_id in held if run_id not in growing]
        kept = [run_id for run_id in rebuilt if held[run_id].tail_rows]
        tails = held_tails(held_now, key, kept) if kept else {}
        exported = [run_id for run_id in rebuilt if held[run_id].exports]
        earlier = earlier_forms(held_now, project, exported) if exported else {}
    histories: list[ReadyHistory] = []
    folds: list[tuple[RunPath, Folded]] = []
    for run in changed:
        change = wanted[run.run_id]
        if run.run_id in growing:
            ready, folded = _append(run.run_id, change, held[run.run_id])
        else:
            ready, folded = _rebuild(
                objects, run.run_id, change, held[run.run_id], tails.get(run.run_id, []), earlier.get(run.run_id, {})
            )
        histories.append(ready)
        folds.append((RunPath(key.entity, key.project, run.run_id), folded))
    objects.sync({digest for history in histories for digest in history.earlier.values()})
    files = write_metrics(lake.home, folds, lake.storage) if folds else ()
    try:
        replaced = [history.run_id for history in histories if history.replaces]
        superseded: dict[str, str] = {}
        if replaced:
            with lake.reading() as engine:
                superseded = superseded_histories(engine, key, replaced, files)
    except BaseException:
        remove_uncommitted(lake.storage, files)
        raise
    return ReadyContents(
        key=key, runs=tuple(runs), new=new, histories=tuple(histories), artifacts=tuple(artifacts), metrics=files,
        superseded=superseded,
    )  # fmt: skip


def remove_prepared(lake: Lake, ready: ReadyContents) -> None:
    """Remove the files of a transaction that failed, unless the catalog names them after all."""
    if not ready.metrics:
        return
    with contextlib.suppress(StoreError), lake.reading() as engine:
        rows = engine.execute("SELECT data_file FROM ducklake_list_files('lake', 'metrics')").fetchall()
        named = {Path(name).name for (name,) in rows}
        remove_uncommitted(lake.storage, (file for file in ready.metrics if file.name not in named))


def _tail_ends(
    lake: Queryable, key: ProjectKey, changed: Sequence[ContentChanges], held: Mapping[str, HeldHistory]
) -> dict[str, list[str]]:
    """The rows at the last step of the tails that are read on from just there."""
    steps = {
        run.run_id: run.history.tail_from
        for run in changed
        if run.history is not None
        and run.history.tail_from is not None
        and run.history.tail_from == held[run.run_id].last_tail_step
    }
    return held_rows_at(lake, key, steps) if steps else {}


def _without_known(change: HistoryChange, ends: Sequence[str]) -> HistoryChange:
    """A change without its first rows when those are held as they are: the last row is read again, as it may grow."""
    if not ends or change.exports is not None or change.replaces_tail:
        return change
    again = [storable_wire(row.row) for row in change.tail if row.step == change.tail_from]
    if again != list(ends):
        return change
    later = tuple(row for row in change.tail if row.step != change.tail_from)
    return msgspec.structs.replace(change, tail=later, tail_columns=(), tail_from=None)


def grows(change: HistoryChange, held: HeldHistory) -> bool:
    """Whether a change only adds rows behind everything that is held."""
    if change.exports is not None or change.replaces_tail or change.is_partial or held.completeness is None:
        return False
    if change.tail_from is not None and held.last_tail_step is not None and held.last_tail_step >= change.tail_from:
        return False
    steps = [row.step for row in change.tail]
    last = held.last_step
    return _rise(steps) and (not steps or last is None or (steps[0] or 0) > last)


def _rise(steps: Sequence[int | None]) -> bool:
    """Whether there is a step in every row, each higher than the one before."""
    known = [step for step in steps if step is not None]
    return len(known) == len(steps) and all(map(lt, known, known[1:]))


def _append(run_id: str, change: HistoryChange, held: HeldHistory) -> tuple[ReadyHistory, Folded]:
    folded = fold_rows([row.row for row in change.tail], change.tail_columns)
    before = held.completeness
    assert before is not None
    last = change.tail[-1].step if change.tail else held.last_step
    facts = judge_completeness(
        change,
        rows_held=before.rows_held + len(change.tail),
        shared_rows=before.shared_rows,
        last_step_held=last,
        parts=before.parts,
        tail_rows=before.tail_rows + len(change.tail),
    )
    return ReadyHistory(
        run_id=run_id, exports=None, tail=change.tail, held=True, replaces=False, completeness=facts
    ), folded


def _rebuild(
    objects: Objects,
    run_id: str,
    change: HistoryChange,
    held: HeldHistory,
    held_tail: Sequence[tuple[int | None, str]],
    held_forms: Mapping[str, str],
) -> tuple[ReadyHistory, Folded]:
    exports = held.exports if change.exports is None else _in_order(change.exports)
    digests = list(dict.fromkeys(export.object for export in exports))
    parts = {digest: open_export(objects, digest, held_forms.get(digest)) for digest in digests}
    forms = {digest: form for digest, form in held_forms.items() if digest in parts}
    if change.exports is not None:
        told = _forms_told(objects, parts, held, held_tail, held_forms)
        forms |= {digest: objects.put_bytes(form.dump()) for digest, form in told.items()}
        parts |= {digest: ExportPart(objects.path(digest), form) for digest, form in told.items()}
    tail = [TailRow(step=step, row=row) for step, row in held_tail]
    if change.is_partial:
        came = {row.step for row in change.tail}
        tail = [row for row in tail if row.step is None or row.step not in came]
    elif change.replaces_tail:
        tail = []
    elif change.tail_from is not None:
        tail = [row for row in tail if row.step is None or row.step < change.tail_from]
    tail = _once([*tail, *change.tail])
    if tail and parts:
        # A ranged `history` may repeat exported rows. An export has the exact values; a row that the server calls
        # live, though an export holds its step, was written later.
        covered = pa.concat_arrays([part.steps for part in parts.values()])
        tail = _not_in(tail, covered, frozenset(change.live_steps))
    columns = change.tail_columns if tail == list(change.tail) else ()
    folded = fold_exports(list(parts.values()), [row.row for row in tail], columns)
    facts = folded.facts
    completeness = judge_completeness(
        change,
        rows_held=facts.steps + facts.without_step,
        shared_rows=facts.repeated + facts.merged,
        last_step_held=facts.max_step,
        parts=len(exports),
        tail_rows=len(tail),
    )
    is_held = held.completeness is not None
    kept = None if change.exports is None and is_held else exports
    return ReadyHistory(
        run_id=run_id, exports=kept, earlier={} if kept is None else forms, tail=tuple(tail), held=is_held,
        replaces=is_held, completeness=completeness,
    ), folded  # fmt: skip


def _forms_told(
    objects: Objects,
    parts: Mapping[str, ExportPart],
    held: HeldHistory,
    held_tail: Sequence[tuple[int | None, str]],
    held_forms: Mapping[str, str],
) -> dict[str, EarlierForms]:
    """What the new exports have lost of what is held, by export; of those that are known already nothing."""
    earlier = list(_held_parts(objects, held, held_forms))
    rows = RowsPart([row for _, row in held_tail]) if held_tail else None
    if len(parts) < 2 and not earlier and rows is None:
        return {}
    told = {
        digest: lost_forms(part, [other for other in parts.values() if other is not part], earlier, rows)
        for digest, part in parts.items()
        if digest not in held_forms
    }
    return {digest: form for digest, form in told.items() if form}


def _held_parts(objects: Objects, held: HeldHistory, held_forms: Mapping[str, str]) -> Iterator[ExportPart]:
    """The exports that are held. What is damaged tells nothing, and must not keep better bytes out."""
    for digest in dict.fromkeys(export.object for export in held.exports):
        try:
            yield open_export(objects, digest, held_forms.get(digest))
        except LakeAway:  # nothing is known of it
            raise
        except StoreError:
            continue


def _in_order(exports: Sequence[ExportRow]) -> tuple[ExportRow, ...]:
    """By last step. Parts with equal bytes, such as two empty ones, stay two: their number tells when more came."""
    return tuple(sorted(exports, key=lambda export: (export.max_step is not None, export.max_step or 0, export.object)))


def _not_in(tail: Sequence[TailRow], covered: pa.Array, live: frozenset[int]) -> list[TailRow]:
    """The rows whose step no export holds now, and those that are live all the same."""
    inside = pc.is_in(pa.array([row.step for row in tail], pa.int64()), value_set=covered.drop_null()).to_pylist()
    return [row for row, is_covered in zip(tail, inside, strict=True) if not is_covered or row.step in live]


def _once(tail: Sequence[TailRow]) -> list[TailRow]:
    """By step, then in the order they came; a row that came twice once."""
    if _rise([row.step for row in tail]):
        return list(tail)
    distinct = {(row.step, storable_wire(row.row)): row for row in tail}.values()
    return sorted(distinct, key=lambda row: (row.step is None, row.step or 0))


def _named_objects(runs: Sequence[ContentChanges], artifacts: Sequence[ArtifactChange]) -> set[str]:
    named = {file.object for run in runs for file in run.files}
    named |= {export.object for run in runs if run.history for export in run.history.exports or ()}
    named |= {change.manifest for change in artifacts} | {
        row.object for change in artifacts for row in change.files or ()
    }
    return {digest for digest in named if digest is not None}
