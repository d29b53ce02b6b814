"""What a run contains beside its history: files, console output, its metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mirror.errors import MirrorError
from mirror.run.console import ConsoleLogs
from mirror.run.facts import RunFacts
from mirror.run.files import File, Files
from mirror.run.sdk.calls import as_comm_error

_METADATA = "wandb-metadata.json"


class RunContents(RunFacts):
    """A run with what it contains."""

    _metadata: dict[str, Any] | None = None

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
