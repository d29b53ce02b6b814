"""What runs that are brought upstream side by side ask of the server: one question for those that wait for it.

What the answer for many does not tell of a run is asked for that run alone, and so is whatever fails.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from mirror.api.client import Client
from mirror.api.questions.looks import RUNS_LOOKED_AT, UpstreamRun
from mirror.api.questions.syncing import RUNS_GIVEN_SLOTS
from mirror.api.rows.pages import BadRun
from mirror.api.rows.writes import UploadSlot
from mirror.records.addresses import ProjectKey, RunPath
from mirror.tasks import Together

Answer = TypeVar("Answer")
FilesOfRun = tuple[RunPath, tuple[str, ...]]  # and names of some of its files, one or more


class ManyRuns:
    """Asks for runs together.

    Args:
        client: of the server.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._looks = Together(self._look_at, RUNS_LOOKED_AT)
        self._slots = Together(self._ask_slots, RUNS_GIVEN_SLOTS)

    async def look(self, path: RunPath, names: Sequence[str]) -> UpstreamRun | BadRun | None:
        """A run as it is upstream now, with its streams, and its files of these names where that is one question.

        Raises:
            NotOffered: it cannot be asked for; MirrorError: it cannot be read just now.
        """
        found = await self._looks.of((path, tuple(names))) if names else None
        return found if found is not None else await self._look_alone(path, names)

    async def _look_alone(self, path: RunPath, names: Sequence[str]) -> UpstreamRun | BadRun | None:
        return await self._client.look(*path, needs=("state",), with_streams=True, files=names)

    async def _look_at(self, wanted: Sequence[FilesOfRun]) -> Mapping[FilesOfRun, UpstreamRun | BadRun | None]:
        if len(wanted) == 1:
            return {wanted[0]: await self._look_alone(*wanted[0])}
        return await _of_projects(wanted, self._client.synced_runs)

    async def slots(self, path: RunPath, names: Sequence[str]) -> Mapping[str, UploadSlot]:
        """Where the bytes of some files of a run go, by name; as `Client.upload_slots`."""
        found = await self._slots.of((path, tuple(names)))
        return found if found is not None else await self._client.upload_slots(*path, names)

    async def _ask_slots(self, wanted: Sequence[FilesOfRun]) -> Mapping[FilesOfRun, Mapping[str, UploadSlot] | None]:
        if len(wanted) == 1:
            path, names = wanted[0]
            return {wanted[0]: await self._client.upload_slots(*path, names)}
        return await _of_projects(wanted, self._client.upload_slots_of)


async def _of_projects(
    wanted: Sequence[FilesOfRun], ask: Callable[[str, str, Mapping[str, Sequence[str]]], Awaitable[dict[str, Answer]]]
) -> dict[FilesOfRun, Answer | None]:
    """What is told of runs, asked for each project; None: it is not told."""
    by_project: dict[ProjectKey, dict[str, Sequence[str]]] = defaultdict(dict)
    for path, names in wanted:
        by_project[path.key][path.run_id] = names
    told: dict[RunPath, Answer] = {}
    for key, files in by_project.items():
        told |= {RunPath(*key, run_id): found for run_id, found in (await ask(*key, files)).items()}
    return {(path, names): told.get(path) for path, names in wanted}
