"""Processes that train against the gateway: what they send is recorded as the SDK records it offline, and taken in.

The recording is the one place where it is safe, and each answer waits for it. The lake follows it within seconds: this
process takes it in while nobody else writes the lake; where a daemon does, the daemon takes it in.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from mirror.errors import HomeBusy, MirrorError
from mirror.gateway.new_versions import NewVersions
from mirror.offline.adding import OfflineRuns
from mirror.offline.copies import identify
from mirror.offline.recording import Begun, Recording, begin, last_recording, recorded_logs
from mirror.offline.wanted import Wanted
from mirror.outbox import Outbox
from mirror.records.addresses import RunPath
from mirror.records.operations import Stop
from mirror.run.pending.local import LocalMirror
from mirror.store.engine.lake import Lake
from mirror.store.engine.meta import lake_deployment
from mirror.store.read.offline import offline_logs
from mirror.texts.naming import run_id_fault
from mirror.wandb_protocol.errors import RequestRefused

STATUS = 403  # which no client tries again
# What is asked by none but a process that carries out a sweep.
OF_AGENTS = frozenset(
    {"createAgent", "agentHeartbeat"}
    | {f"Sweep.{name}" for name in ("heartbeatAt", "controller", "scheduler", "earlyStopJobRunning")}
)
REFUSAL = "wandb-mirror cannot carry out a sweep: a server alone tells its agents what comes next"
# Input fields of upsertBucket that a process that trains alone sets.
_OF_TRAINING = ("host", "jobProgram", "jobRepo", "commit", "debug", "sweep")
READ_ONLY = "this gateway is read-only: nothing can be changed through it"
TAKEN_EVERY_S = 1.0  # what is recorded is taken in
SHOWN_WITHIN_S = 20.0  # a run that begins is in the lake, or its process is told to try again
_log = logging.getLogger(__name__)


class TrainingRefused(RequestRefused):
    """A process that carries out a sweep asked; whatever else its document lacks is not worth a word."""

    def __init__(self) -> None:
        super().__init__(REFUSAL, status=STATUS)


def is_training(given: Mapping[str, Any]) -> bool:
    """Whether the input of upsertBucket comes from a process that trains: it says where it runs."""
    return any(given.get(name) is not None for name in _OF_TRAINING)


def _begins(given: Mapping[str, Any]) -> bool:
    """Whether a process begins a session: it says where it runs, and does not know the run's id yet."""
    return not given.get("id") and is_training(given)


class Trainings:
    """The runs that processes train against one gateway.

    Args:
        mirror: the home.
        read_only: refuse all.
    """

    def __init__(self, mirror: LocalMirror, *, read_only: bool = False) -> None:
        self._mirror, self._read_only = mirror, read_only
        self._changing = threading.Lock()
        self._recordings: dict[RunPath, Recording] = {}
        self._fresh = threading.Event()  # something is recorded that is not taken in
        self._taking = threading.Lock()
        self._taker: threading.Thread | None = None
        self._runs: OfflineRuns | None = None
        self.versions = NewVersions()  # of artifacts, that are on their way

    def recording(self, path: RunPath) -> Recording | None:
        """What is recorded of a run whose process has not ended; None for any other run."""
        with self._changing:
            found = self._recordings.get(path)
            if found is None or not found.goes_on:
                found = last_recording(self._mirror.home, path)
            if found is None or not found.goes_on:
                self._recordings.pop(path, None)
                return None
            self._recordings[path] = found
            return found

    def record(self, path: RunPath, given: Mapping[str, Any], rows_before: int, is_shown: Callable[[], bool]) -> None:
        """Begin a session of a run, or change what is recorded of it; returns when the lake has the run.

        Args:
            path: of the run.
            given: the input of upsertBucket.
            rows_before: of its history, that the lake has.
            is_shown: whether the lake has the run by now.

        Raises:
            RequestRefused: the run cannot be begun; or not yet, since another process writes the lake.
            StoreError: the disk is full or failing.
        """
        if (fault := run_id_fault(path.run_id)) is not None:
            raise RequestRefused(fault, status=400)
        recording = self.recording(path)
        if recording is None or (recording.has_rows and _begins(given)):
            begun = Begun(entity=path.entity, project=path.project, run_id=path.run_id, history=rows_before)
            recording = begin(self._mirror.home, begun)
            with self._changing:
                self._recordings[path] = recording
        recording.write_run(given)
        if is_shown():
            self.taken_soon()
        else:
            self.await_taken(is_shown, str(path))

    def await_taken(self, is_shown: Callable[[], bool], what: str) -> None:
        """Wait until the lake has something that was recorded.

        Raises:
            RequestRefused: not yet, since another process writes the lake.
        """
        pause = threading.Event()
        for _ in range(int(SHOWN_WITHIN_S / TAKEN_EVERY_S)):
            with contextlib.suppress(HomeBusy):
                self._take_in()
            if is_shown():
                return
            pause.wait(TAKEN_EVERY_S)
        raise RequestRefused(f"{what} is recorded, and not shown yet: another process writes the mirror", status=503)

    def bring_up(self, path: RunPath) -> None:
        """See that the lake has all that was recorded of a run: a process that goes on with it asks how far it is.

        Raises:
            RequestRefused: not yet, since another process writes the lake.
        """
        logs = [] if self._read_only else recorded_logs(self._mirror.home, path)
        if not logs:
            return
        held = {row.log: row.bytes for row in offline_logs(self._mirror.reader, path)}
        for log in logs:
            found = identify(log)
            if found is not None and log.stat().st_size > held.get(found[0], 0):
                try:
                    self._take_in()
                except HomeBusy as error:
                    raise RequestRefused(f"not all of {path} is shown yet: {error.message}", status=503) from error
                return

    def stream(self, path: RunPath, body: Mapping[str, Any]) -> dict[str, Any]:
        """Record one request of a file stream; its answer.

        Raises:
            RequestRefused: no process trains this run.
            StoreError: the disk is full or failing; the same may come again.
        """
        if self._read_only:
            raise RequestRefused(READ_ONLY, status=403)
        recording = self.recording(path)
        if recording is None:
            if body.get("complete"):  # once more, since the answer was lost
                return _answer(stopped=False)
            raise RequestRefused(f"no process trains {path} here", status=404)
        files = body.get("files")
        recording.write_lines(files if isinstance(files, dict) else {})
        recording.touch()
        if body.get("complete"):
            recording.write_end(int(body.get("exitcode") or 0), preempting=bool(body.get("preempting")))
            with contextlib.suppress(MirrorError, OSError):  # so that who reads next reads all of it
                self._take_in()
        self.taken_soon()
        return _answer(stopped=any(isinstance(item.operation, Stop) for item in self._mirror.pending(path)))

    def taken_soon(self) -> None:
        """Have what was recorded taken in, in a thread of its own."""
        self._fresh.set()
        with self._changing:
            if self._taker is None:
                self._taker = threading.Thread(target=self._keep_taking, name="training", daemon=True)
                self._taker.start()

    def close(self) -> None:
        """Take in what is recorded, once more."""
        with contextlib.suppress(MirrorError, OSError):
            if self._taker is not None:
                self._take_in()

    def _keep_taking(self) -> None:
        pause = threading.Event()
        while True:
            self._fresh.wait()
            self._fresh.clear()
            try:
                self._take_in()
            except HomeBusy:  # whoever writes, or comes next, takes it in
                self._fresh.set()
            except (MirrorError, OSError) as error:
                _log.warning("what a process logs is recorded, and not taken in: %s", error)
                self._fresh.set()
            pause.wait(TAKEN_EVERY_S)

    def _take_in(self) -> None:
        """Bring the lake up to what is recorded.

        Raises:
            HomeBusy: another process writes the lake.
            StoreError: the lake stays at its last commit.
        """
        home, deployment = self._mirror.home, lake_deployment(self._mirror.reader) or ""
        with self._taking, Lake(home, deployment=deployment, brief=True) as lake:
            if self._runs is None:
                self._runs = OfflineRuns(lake, Outbox(home))
            self._runs.use(lake)
            for candidate in self._runs.candidates(Wanted(paths=(str(home.recordings),))):
                row = candidate.row
                if row is not None and not (row.exit_code is not None and row.delivered_at is not None):
                    self._runs.take(candidate)


def _answer(*, stopped: bool) -> dict[str, Any]:
    return {"exitcode": None, "limits": {}, "stopped": stopped}
