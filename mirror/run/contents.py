"""What else a run contains: files, console output, artifacts, its metadata and its sweep."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from mirror.errors import CommError, MirrorError
from mirror.records.operations import Operation
from mirror.run.artifacts.run_artifacts import RunArtifacts
from mirror.run.console import ConsoleLogs
from mirror.run.facts import RunFacts
from mirror.run.files import File, Files
from mirror.run.sdk.calls import as_comm_error
from mirror.run.sweeps import Sweep

_METADATA = "wandb-metadata.json"


class RunContents(RunFacts):
    """A run with what it contains."""

    _metadata: dict[str, Any] | None = None
    _sweep: Sweep | None = None

    @as_comm_error
    def files(self, names: Sequence[str] | None = None, pattern: str | None = None, per_page: int = 50) -> Files:
        """The files of the run, with those that are queued, without those whose deletion is.

        Args:
            names: only files of these exact names; none for all.
            pattern: only files whose names SQL's LIKE matches, for example `%.json`.
            per_page: files read at a time.

        Raises:
            CommError: both names and a pattern are given.
        """
        return Files(self._local, self, names, per_page, pattern)

    @as_comm_error
    def file(self, name: str) -> File:
        """The file of this exact name.

        Raises:
            CommError: there is none; as the SDK's, its text is "list index out of range".
        """
        return Files(self._local, self, [name])[0]

    def console_logs(self, *, per_page: int = 1000, last: int | None = None) -> ConsoleLogs:
        """What the run printed, oldest line first.

        Args:
            per_page: lines read at a time.
            last: only so many of the newest lines.
        """
        return ConsoleLogs(self._local, self, per_page, last)

    @as_comm_error
    def logged_artifacts(self, per_page: int = 100) -> RunArtifacts:
        """The versions that the run logged, oldest first, with those that are queued.

        Args:
            per_page: versions read at a time.
        """
        return RunArtifacts(self._local, self, "logged", per_page)

    @as_comm_error
    def used_artifacts(self, per_page: int = 100) -> RunArtifacts:
        """The versions that the run used, oldest first, with those that are queued.

        Args:
            per_page: versions read at a time.
        """
        return RunArtifacts(self._local, self, "used", per_page)

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What `wandb-metadata.json` of the run says: host, program, git state; None when it cannot be had."""
        if self._metadata is None:
            try:
                with self._local.objects.open(self.file(_METADATA)._content.held()) as file:
                    self._metadata = json.load(file)
            except (MirrorError, ValueError, RecursionError):
                return None
        return self._metadata

    @property
    def sweep(self) -> Sweep | None:
        """The sweep that started the run, read when it is first asked for; None for a run without one.

        Raises:
            NotMirrored: the sweep is not in this mirror.
        """
        self._load_sweep()
        return self._sweep

    def _load_sweep(self) -> None:
        if self._sweep is None and self.sweep_name:
            self._sweep = Sweep(self._local, self.entity, self.project, self.sweep_name)

    def _queue(self, operation: Operation) -> None:
        """Put an operation on this run into the outbox, and let the run look as if it had happened.

        Raises:
            CommError: the server has deleted the run; nothing was queued.
            HomeUnusable: nothing was queued.
        """
        if self.gone:
            raise CommError(
                f"{self} was deleted upstream", hint="the mirror keeps it, but it cannot be changed any more"
            )
        self._local.enqueue(self._run_path, self.storage_id or None, operation)
        self._seen = msgspec.structs.replace(self._seen, operations=(*self._seen.operations, operation))
