"""The members of a run that write: each queues one operation in the outbox and shows its effect at once.

Nothing here talks to the server. When a member returns, what it queued survives a power cut; `wandb-mirror replay`
delivers it, and `run.pending` says what waits, and why.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import time
from functools import partial
from typing import Any

from mirror.clock import utc_now
from mirror.errors import CommError, NotMirrored
from mirror.records.operations import (
    Change,
    Delete,
    Edit,
    EditedField,
    Stop,
    UpdateState,
    UploadFile,
    may_become,
)
from mirror.records.runs import ACTIVE_STATES
from mirror.run.contents import RunContents
from mirror.run.facts import RunFacts
from mirror.run.files import File, file_of_upload
from mirror.run.pending.changes import changed_keys
from mirror.run.pending.overlay import overlaid
from mirror.run.sdk.calls import as_comm_error
from mirror.run.summary import Summary
from mirror.store.objects.uploads import take_in
from mirror.store.read.projects import last_pass
from mirror.texts.typed_paths import in_shell
from mirror.texts.values import INTERNAL_CONFIG_KEYS

POLL_S = 5.0
STALE_AFTER = dt.timedelta(minutes=10)  # a mirror that nobody refreshes for so long tells nothing new

# Fields of an edit and the attribute of a run that holds each.
_FIELDS: dict[EditedField, str] = {
    "display_name": "display_name",
    "notes": "notes",
    "description": "description",
    "group": "group",
    "job_type": "job_type",
    "tags": "tags",
}


class RunEdits(RunContents):
    """A run that can be changed."""

    _summary: Summary | None = None

    @property
    def summary(self) -> Summary:
        """The summary, as a dictionary whose `update()` queues what changed; the same object each time."""
        if self._summary is None:
            self._summary = Summary(self, partial(self._queue_edit, summary=True))
        return self._summary

    @as_comm_error
    def update(self) -> None:
        """Queue what changed in tags, notes, description, name, group, job type, config and summary since it was read.

        Where the SDK sends all of these as they are here, and so overwrites what others changed meanwhile, only changed
        fields and keys are queued, with the values they are based on.

        Raises:
            HomeUnusable: nothing was queued.
        """
        self._queue_edit(fields=True, config=True, summary=True)

    def save(self) -> None:
        """The same as `update()`."""
        self.update()

    @as_comm_error
    def update_state(self, state: str) -> bool:
        """Queue a new state: `pending` from running, failed, crashed or preempted; `failed` from pending or running.

        Whether the server agrees is known when the operation is delivered; a refusal is kept in `run.pending` with the
        server's words.

        Returns:
            True: it is queued, and `state` shows it.

        Raises:
            CommError: W&B knows no such transition, or the run belongs to a sweep.
        """
        now = self._as_of_now()
        if now.sweep_name:
            raise CommError(f"invalid state transition: {self} belongs to a sweep, whose runs W&B sets itself")
        if not may_become(now.state, state):
            raise CommError(
                f"invalid state transition: a run that is {now.state} cannot become {state!r}",
                hint="W&B allows pending from running, failed, crashed, preempted, and failed from pending, running",
            )
        self._queue(UpdateState(state=state, base=now.state))
        self._state = self._attrs["state"] = state
        return True

    @as_comm_error
    def stop(self) -> None:
        """Queue a request to end the run; nothing is queued for a run that has ended, or twice."""
        if self._as_of_now().state in ACTIVE_STATES and not self._is_queued(Stop):
            self._queue(Stop())

    @as_comm_error
    def delete(self, delete_artifacts: bool = False) -> None:
        """Queue the deletion of the run upstream. The mirror keeps what it holds.

        Args:
            delete_artifacts: also of the artifacts that it logged.
        """
        if not self._is_queued(Delete):
            self._queue(Delete(delete_artifacts=delete_artifacts))

    @as_comm_error
    def upload_file(self, path: str, root: str = ".") -> File:
        """Queue a file. Its bytes are copied now: what happens to the source afterwards does not matter.

        Args:
            path: the file; absolute, or relative to the working directory.
            root: the folder to which its name in the run is relative.

        Returns:
            The file, which can be read at once.

        Raises:
            CommError: there is no such file.
        """
        name = _safe_name(os.path.relpath(path, os.path.abspath(root)))
        taken = take_in(self._local.objects, path)
        there: list[File] = []
        with contextlib.suppress(NotMirrored):  # what the server has is not known: the upload is judged by its answer
            there = [file for file in self.files(names=[name]) if file.name == name]
        upload = UploadFile(
            name=name,
            object=taken.object,
            size=taken.size,
            md5=taken.md5,
            mimetype=taken.mimetype,
            base_md5=there[0].md5 if there else None,
        )
        self._queue(upload)
        return file_of_upload(self, upload)

    @as_comm_error
    def wait_until_finished(self) -> None:
        """Wait until the mirror shows that the run has ended.

        Raises:
            NotMirrored: nobody has refreshed the mirror for a while, so that waiting is in vain.
        """
        while True:
            self.load(force=True)
            if self.state not in ACTIVE_STATES:
                return
            refreshed = last_pass(self._local.reader, self.entity, self.project)
            if refreshed is None or utc_now() - refreshed > STALE_AFTER:
                raise NotMirrored(
                    f"{self} had not ended when the mirror was last refreshed ({refreshed or 'never'})",
                    hint=f"`wandb-mirror pull {in_shell(*self._run_path)}` refreshes it",
                )
            time.sleep(POLL_S)

    def _queue_edit(self, *, fields: bool = False, config: bool = False, summary: bool = False) -> None:
        """Queue what differs from what was seen."""
        edit = self._edit(fields=fields, config=config, summary=summary)
        if not edit.is_empty:
            self._queue(edit)

    def _edit(self, *, fields: bool = False, config: bool = False, summary: bool = False) -> Edit:
        """What differs from what was seen."""
        return Edit(
            fields=self._changed_fields() if fields else {},
            config=self._changed_config() if config else {},
            summary=self._changed_summary() if summary else {},
        )

    def _changed_fields(self) -> dict[EditedField, Change]:
        before = overlaid(self._seen.run, self._seen.operations)
        old: dict[str, Any] = {name: getattr(before, name) for name in _FIELDS}
        new: dict[str, Any] = {name: getattr(self, attribute) for name, attribute in _FIELDS.items()}
        for name in [name for name, value in new.items() if value is None]:
            del old[name], new[name]  # W&B leaves a field alone that is null: "" clears it, and [] clears tags
        if "tags" in new:
            new["tags"] = list(new["tags"])
        _check_fields(new)
        changed: dict[Any, Change] = changed_keys(old, new)
        if set(old.get("tags", ())) == set(new.get("tags", ())):  # tags are a set upstream
            changed.pop("tags", None)
        return changed

    def _changed_config(self) -> dict[str, Change]:
        if "config" not in self._attrs:  # nobody could look at it, so nobody changed it
            return {}
        changed = changed_keys(self._config_as_seen(), self.config)
        if own := INTERNAL_CONFIG_KEYS & changed.keys():
            raise CommError(f"{min(own)!r} is W&B's own key of a config, which W&B writes itself")
        return changed

    def _changed_summary(self) -> dict[str, Change]:
        if "summaryMetrics" not in self._attrs:
            return {}
        return changed_keys(self._summary_as_seen(), self.summary_metrics)

    def _as_of_now(self) -> RunFacts:
        """The run as the mirror and the outbox have it now, also what other processes queued."""
        return RunFacts(self._local, self._run_path)

    def _is_queued(self, kind: type[Any]) -> bool:
        return any(isinstance(item.operation, kind) for item in self.pending if item.is_shown)


def _check_fields(fields: dict[str, Any]) -> None:
    """Refuse what the server would refuse, before it is queued.

    Raises:
        TypeError: a field is no text, or a tag is none.
    """
    for name, value in fields.items():
        if name == "tags":
            if not all(isinstance(tag, str) for tag in value):
                raise TypeError(f"tags are texts, not {value!r}")
        elif value is not None and not isinstance(value, str):
            raise TypeError(f"{name} is a text, not {value!r}")


def _safe_name(relative: str) -> str:
    """A relative path as a name in a run, which cannot lead out of it: `..` is written `__`, as the SDK does."""
    parts = relative.replace(os.sep, "/").split("/")
    return "/".join("_" * len(part) if part in {".", ".."} else part for part in parts)
