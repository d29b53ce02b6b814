"""Runs as a document sees them: those of a page are read together, each column when one is asked for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from mirror.gateway.context import ProjectPath, RequestContext
from mirror.records.addresses import RunPath
from mirror.records.operations import Create, Edit, Operation
from mirror.run.facts import NO_DOCUMENTS, RunFacts
from mirror.run.pending.listing import runs_to_be_made
from mirror.run.pending.local import Pending
from mirror.run.pending.overlay import overlaid, overlaid_config, overlaid_summary
from mirror.run.wire import as_dict
from mirror.store.read.runs import (
    DocumentName,
    Documents,
    LaterFacts,
    LightRun,
    read_documents,
    read_later_facts,
    read_listed_runs,
)
from mirror.wandb_protocol.wire import spell

T = TypeVar("T")


class RunNode:
    """One run."""

    __slots__ = ("__dict__", "batch", "held", "light", "operations", "pending")

    def __init__(self, batch: RunBatch, held: LightRun, pending: Sequence[Pending]) -> None:
        self.batch = batch
        self.held = held  # as the lake has it
        self.pending = pending
        self.operations: tuple[Operation, ...] = tuple(item.operation for item in pending if item.is_shown)
        self.light = overlaid(held, self.operations) if self.operations else held

    @property
    def path(self) -> RunPath:
        """Entity, project, run id."""
        return self.held.run_path

    def document(self, name: DocumentName) -> str | None:
        """A document with what is queued in it: the text that the server sent, where nothing is."""
        text = self.batch.texts(name).get(self.held.run_id)
        if not any(isinstance(operation, Create | Edit) for operation in self.operations):
            return text
        try:
            if name == "config" and _edits(self.operations, "config"):
                return spell(overlaid_config(as_dict(text), self.operations))
            if name == "summary" and _edits(self.operations, "summary"):
                return spell(overlaid_summary(as_dict(text), self.operations))
        except (ValueError, RecursionError):  # what was sent is no JSON: nobody could have changed it
            return text
        return text

    @property
    def later(self) -> LaterFacts:
        """What lakes of earlier versions do not hold."""
        rows = self.batch.shared(
            "later facts", lambda batch: read_later_facts(batch.context.lake, batch.project, batch.run_ids)
        )
        return rows.get(self.held.run_id, LaterFacts())

    @cached_property
    def facts(self) -> RunFacts:
        """The run as `mirror.Api` has it: it judges what is held of a run, and in which words it is told."""
        return RunFacts(self.batch.context.mirror, self.path, self.held, self.batch, self.pending)


class RunBatch:
    """Some runs of one project that are answered together.

    Args:
        context: of the request.
        project: entity, project.
        run_ids: which; those that are not held, nor queued to be made, are left out.
        documents: that will be asked for, so that they come with the rows.
    """

    def __init__(
        self,
        context: RequestContext,
        project: ProjectPath,
        run_ids: Sequence[str],
        documents: Collection[DocumentName] = (),
    ) -> None:
        self.context = context
        self.project = project
        self.run_ids = run_ids
        self._shared: dict[str, Any] = {}
        names = sorted(documents)
        waiting = context.waiting.get(project, {})
        rows = read_listed_runs(context.lake, project, run_ids, names)
        self._texts: dict[DocumentName, dict[str, str | None]] = {
            name: {run_id: texts[name] for run_id, (_, texts) in rows.items()} for name in names
        }
        made = runs_to_be_made({run_id: waiting[run_id] for run_id in run_ids if run_id in waiting})
        lights = made | {run_id: light for run_id, (light, _) in rows.items()}
        self.nodes = [RunNode(self, lights[run_id], waiting.get(run_id, ())) for run_id in run_ids if run_id in lights]

    def texts(self, name: DocumentName) -> Mapping[str, str | None]:
        """A document of all these runs, by run id."""
        if name not in self._texts:
            rows = read_listed_runs(self.context.lake, self.project, self.run_ids, [name])
            self._texts[name] = {run_id: texts[name] for run_id, (_, texts) in rows.items()}
        return self._texts[name]

    def documents(self, run_id: str) -> Documents:
        """All documents of one run, for `RunFacts`."""
        return self._whole.get(run_id, NO_DOCUMENTS)

    def shared(self, name: str, read: Callable[[RunBatch], T]) -> T:
        """Something of all these runs that is read once, when the first is asked for it.

        Args:
            name: of it.
            read: reads it.
        """
        if name not in self._shared:
            self._shared[name] = read(self)
        found: T = self._shared[name]
        return found

    @cached_property
    def _whole(self) -> Mapping[str, Documents]:
        return read_documents(self.context.lake, self.project, self.run_ids)


def _edits(operations: Sequence[Operation], which: str) -> bool:
    return any(isinstance(operation, Edit) and getattr(operation, which) for operation in operations)


def parsed(text: str | None) -> dict[str, Any]:
    """A document as an object; empty where it is none."""
    try:
        value = json.loads(text, strict=False) if text else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
