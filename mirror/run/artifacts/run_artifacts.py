"""The versions that a run logged or used."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from mirror.records.operations import LogArtifact, UseArtifact
from mirror.run.artifacts.artifact import Artifact
from mirror.run.artifacts.queued import Marking, marked, queued_markings
from mirror.run.facts import RunFacts
from mirror.run.not_held import not_held
from mirror.run.pending.local import LocalMirror
from mirror.run.sdk.pages import SizedPages
from mirror.store.read.artifacts import read_versions, run_version_ids


class RunArtifacts(SizedPages[Artifact]):
    """The versions that a run logged or used. Which ones is settled by the first look; queued ones come last.

    Args:
        local: the mirror.
        run: whose versions.
        mode: "logged" or "used".
        per_page: versions read at a time.

    Raises:
        ValueError: the mode is another.
    """

    def __init__(
        self, local: LocalMirror, run: RunFacts, mode: Literal["logged", "used"] = "logged", per_page: int = 50
    ) -> None:
        if mode not in ("logged", "used"):
            raise ValueError("mode must be logged or used")
        super().__init__(per_page)
        self._local = local
        self.run = run
        self._mode = mode

    def __repr__(self) -> str:
        """Whose they are, and how many."""
        return f"<RunArtifacts {'/'.join(self.run.path)} {self._mode} ({len(self)})>"

    @cached_property
    def _queued(self) -> dict[str, list[LogArtifact | UseArtifact]]:
        kind = LogArtifact if self._mode == "logged" else UseArtifact
        found: dict[str, list[LogArtifact | UseArtifact]] = {}
        for item in self._local.pending(self.run._run_path):
            if item.is_shown and isinstance(item.operation, LogArtifact | UseArtifact) and type(item.operation) is kind:
                found.setdefault(item.operation.artifact_id, []).append(item.operation)
        return found

    @cached_property
    def _markings(self) -> list[Marking]:
        return queued_markings(self._local)

    @cached_property
    def _ids(self) -> list[str]:
        queued = self._queued  # before the lake: see `LocalMirror.pending`
        path = self.run._run_path
        held = run_version_ids(self._local.reader, path, self._mode)
        if not held:
            what, capability = f"artifacts that {{}} {self._mode} are", f"{self._mode} artifacts"
            if (error := not_held(self.run, what, "artifacts", capability)) is not None:
                raise error
        more = [artifact_id for artifact_id in queued if artifact_id not in set(held)]
        known = read_versions(self._local.reader, more) if more else {}
        return [*held, *(artifact_id for artifact_id in more if artifact_id in known)]

    def _count(self) -> int:
        return len(self._ids)

    def _read(self, start: int, stop: int) -> Sequence[Artifact]:
        ids, operations = self._ids[start:stop], self._markings
        rows = read_versions(self._local.reader, ids)
        return [Artifact(self._local, marked(rows[artifact_id], operations)) for artifact_id in ids]
