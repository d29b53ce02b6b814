"""Runs as a document sees them: those of a page are read together, each column when one is asked for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

from mirror.gateway.context import ProjectPath, RequestContext
from mirror.gateway.run_rows import Rows, rows_of
from mirror.gateway.seen import SeenRun
from mirror.records.addresses import ProjectKey, RunPath
from mirror.records.operations import Create, Edit, Operation
from mirror.run.facts import RunFacts
from mirror.run.pending.listing import runs_to_be_made
from mirror.run.pending.local import Pending
from mirror.run.pending.overlay import overlaid, overlaid_config, overlaid_summary
from mirror.run.wire import as_dict
from mirror.store.engine.queries import Queryable
from mirror.store.read.failures import open_failures
from mirror.store.read.runs import DocumentName, Documents, LaterFacts, LightRun, read_later_facts
from mirror.wandb_protocol.wire import spell

DOCUMENTS: tuple[DocumentName, ...] = ("config", "history_keys", "summary", "system_metrics")
T = TypeVar("T")


class RunNode:
    """One run."""

    graphql_type = "Run"

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
        text = self.batch.text(self.held.run_id, name)
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
        rows = self.batch.recall("later facts", read_later_facts, lambda facts: 200 * len(facts))
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
        rows: theirs, if they were read already.
    """

    def __init__(
        self,
        context: RequestContext,
        project: ProjectPath,
        run_ids: Sequence[str],
        documents: Collection[DocumentName] = (),
        rows: Rows | None = None,
    ) -> None:
        self.context = context
        self.project = project
        self.run_ids = run_ids
        self._shared: dict[str, Any] = {}
        # Of one run all documents come with its row: whoever asks for one of them will ask for others.
        names = DOCUMENTS if len(run_ids) == 1 else sorted(documents)
        self._rows = rows_of(context, project, run_ids, names) if rows is None else rows
        self._more: dict[DocumentName, Rows] = {}
        context.told.append(self.as_seen)
        waiting = context.waiting.get(project, {})
        made = runs_to_be_made({run_id: waiting[run_id] for run_id in run_ids if run_id in waiting}) if waiting else {}
        lights = made | {run_id: light for run_id, (light, _) in self._rows.items()}
        self.nodes = [RunNode(self, lights[run_id], waiting.get(run_id, ())) for run_id in run_ids if run_id in lights]

    @cached_property
    def incomplete(self) -> frozenset[str]:
        """Ids of the runs of which a pull left something behind; all, where parts are not asked for, or not to be had.

        Of the others nothing is held of a kind where there is nothing.
        """
        source = self.context.mirror.source(*self.project)
        lack = self.context.mirror.lack_of("files", "console lines", "system metrics")
        if lack is not None or (source is not None and not source.streams):
            return frozenset(self.run_ids)
        failing = self.context.recall(
            ("failures", self.project),
            lambda lake: open_failures(lake, ProjectKey(*self.project)),
            lambda failures: 300 * len(failures),
        )
        return frozenset(run_id for run_id, _ in failing)

    def text(self, run_id: str, name: DocumentName) -> str | None:
        """A document of one run, read for all of them."""
        row = self._rows.get(run_id)
        if row is not None and name in row[1]:
            return row[1][name]
        if name not in self._more:
            self._more[name] = rows_of(self.context, self.project, self.run_ids, [name])
        row = self._more[name].get(run_id)
        return None if row is None else row[1][name]

    def as_seen(self) -> Iterator[SeenRun]:
        """The runs as the answer tells them."""
        for node in self.nodes:
            yield SeenRun(light=node.held, texts=self.texts(node.held.run_id), pending=tuple(node.pending))

    def texts(self, run_id: str) -> dict[DocumentName, str | None]:
        """The documents of one run that were read so far."""
        found: dict[DocumentName, str | None] = {}
        for rows in (self._rows, *self._more.values()):
            if run_id in rows:
                found |= rows[run_id][1]
        return found

    def documents(self, run_id: str) -> Documents:
        """All documents of one run, for `RunFacts`."""
        return Documents(**{name: self.text(run_id, name) for name in DOCUMENTS})

    def recall(
        self,
        name: str,
        read: Callable[[Queryable, ProjectPath, Sequence[str]], T],
        weigh: Callable[[T], int] | None = None,
    ) -> T:
        """Something of all these runs, read once for all, when the first is asked for it.

        Args:
            name: of it.
            read: reads it; of a lake, a project and run ids.
            weigh: bytes that it takes; None: few.
        """
        if name not in self._shared:
            key = (name, self.project, tuple(self.run_ids))
            self._shared[name] = self.context.recall(key, lambda lake: read(lake, self.project, self.run_ids), weigh)
        found: T = self._shared[name]
        return found


def _edits(operations: Sequence[Operation], which: str) -> bool:
    return any(isinstance(operation, Edit) and getattr(operation, which) for operation in operations)


def parsed(text: str | None) -> dict[str, Any]:
    """A document as an object; empty where it is none."""
    try:
        value = json.loads(text, strict=False) if text else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
