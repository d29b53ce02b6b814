"""What is known of one run: its fields and documents, read from the mirror and overlaid with what is queued."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from mirror.errors import CommError, NotMirrored, RunNotFoundError
from mirror.records.addresses import RunPath
from mirror.records.operations import Create, Operation
from mirror.run.pending.local import LocalMirror, Pending
from mirror.run.pending.overlay import created_run, overlaid, overlaid_config, overlaid_summary
from mirror.run.sdk.attrs import Attrs
from mirror.run.sdk.calls import deprecated
from mirror.run.user import User
from mirror.run.wire import as_dict, is_pair, wire_fields
from mirror.store.read.runs import Documents, LightRun, read_run
from mirror.texts.typed_paths import in_shell
from mirror.texts.values import INTERNAL_CONFIG_KEYS, unwrap_config

# Documents by the server's names of their fields, and what people call them.
_DOCUMENTS = {
    "config": "config",
    "rawconfig": "config",
    "summaryMetrics": "summary",
    "systemMetrics": "system metrics",
    "historyKeys": "list of history keys",
}
NO_DOCUMENTS = Documents(config=None, summary=None, system_metrics=None, history_keys=None)


class DocumentSource(Protocol):
    """Where a run from a listing has its documents from."""

    def documents(self, run_id: str) -> Documents:
        """Those of one run."""


class RunAsRead(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its user saw it: what the lake held, and what was queued. An edit is told from this."""

    run: LightRun
    documents: Documents | None  # None: not looked at yet
    operations: tuple[Operation, ...]


class RunFacts(Attrs):
    """Identity, fields and documents of a run.

    Args:
        local: the mirror.
        path: entity, project, run id.
        light: the run's row, from a listing; None to look it up, whole.
        documents: where the documents of a run from a listing come from.

    Raises:
        RunNotFoundError: the run is not in this mirror.
    """

    # Fields of the server, which `Attrs` finds by name; assigning to one and `update()` changes it.
    display_name: str | None
    tags: list[str]
    notes: str | None
    description: str | None
    group: str | None
    job_type: str | None
    # The others are as the server sent them.
    created_at: str
    heartbeat_at: str | None
    commit: str | None
    read_only: bool | None
    history_line_count: int | None
    history_keys: dict[str, Any] | None

    _seen: RunAsRead

    def __init__(
        self,
        local: LocalMirror,
        path: RunPath,
        light: LightRun | None = None,
        documents: DocumentSource | None = None,
        pending: Sequence[Pending] | None = None,
    ) -> None:
        super().__init__({"name": path[2]})
        self._local = local
        self._run_path: RunPath = path  # what operations are about, whatever `id` is set to
        self._entity, self.project, _ = path
        self._lazy = light is not None
        self._later = documents
        self._state = "not found"
        self.user: User | None = None
        if light is None:
            self._read_whole()
        else:
            self._take(light, None, pending if pending is not None else local.pending(path))

    # What the run is called.

    @property
    def id(self) -> str:
        """The run id: the last part of its path."""
        found: str = self._attrs["name"]
        return found

    @id.setter  # noqa: A003 - the SDK's name
    def id(self, new_id: str) -> None:
        self._attrs["name"] = new_id

    @property
    def name(self) -> str | None:
        """The display name; `update()` sends a new one."""
        return self._attrs.get("displayName")

    @name.setter
    def name(self, new_name: str) -> None:
        self._attrs["displayName"] = new_name

    @property
    def storage_id(self) -> str:
        """W&B's opaque id of the run; empty for a run that was created here and is not delivered yet."""
        found: str = self._attrs["id"]
        return found

    @property
    def entity(self) -> str:
        """The user or team that owns the project."""
        return self._entity

    @property
    def username(self) -> str:
        """The entity, under the name that it once had. Deprecated, as in the SDK."""
        deprecated("Run.username is deprecated. Please use Run.entity instead.")
        return self._entity

    @property
    def state(self) -> str:
        """`running`, `finished`, `failed`, `crashed`, `killed`, `pending`, `preempting` or `preempted`."""
        return self._state

    @property
    def path(self) -> list[str]:
        """Entity, project and id, percent-quoted with nothing exempt; a fresh list."""
        return [quote(str(part), safe="") for part in (self._entity, self.project, self.id)]

    @property
    def url(self) -> str:
        """The address of the run's page on the server."""
        entity, project, run_id = self.path
        return f"{self._local.app_url}{entity}/{project}/runs/{run_id}"

    @property
    def dir(self) -> str:
        """A folder for files of this run below the system's temporary folder; made when it is asked for."""
        folder = Path(tempfile.gettempdir(), "wandb-mirror-runs", *self.path)
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    @property
    def sweep_name(self) -> str | None:
        """Id of the sweep that started the run."""
        return self._attrs.get("sweepName")

    @property
    def gone(self) -> bool:
        """Whether the server has deleted the run; the mirror keeps it. The SDK has no such member."""
        return self._seen.run.gone

    # Documents. One that is not JSON is a `CommError` that names it, when it is asked for; the rest of the run answers,
    # where the SDK's run is lost with it.

    @property
    def config(self) -> dict[str, Any]:
        """The hyperparameters, without W&B's own keys. A live dictionary: `update()` sends what changed in it."""
        found: dict[str, Any] = self._document("config")
        return found

    @property
    def rawconfig(self) -> dict[str, Any]:
        """The hyperparameters with W&B's own keys, `_wandb` and `wandb_version`."""
        found: dict[str, Any] = self._document("rawconfig")
        return found

    @property
    def json_config(self) -> str:
        """The config as W&B takes it, as JSON. Unlike the SDK's it keeps `wandb_version` and descriptions of keys."""
        config = self.config
        wire = {key: value for key, value in self._wire_config().items() if key in INTERNAL_CONFIG_KEYS}
        described = {key: item for key, item in self._wire_config().items() if is_pair(item)}
        for key, value in config.items():
            wire[key] = {**described.get(key, {"desc": None}), "value": value}
        return json.dumps(wire)

    @property
    def summary_metrics(self) -> dict[str, Any]:
        """The summary as a plain dictionary."""
        found: dict[str, Any] = self._document("summaryMetrics")
        return found

    @property
    def system_metrics(self) -> dict[str, Any]:
        """The last system metrics."""
        found: dict[str, Any] = self._document("systemMetrics")
        return found

    # Reading.

    def load(self, force: bool = False) -> dict[str, Any]:
        """The run's fields; with `force` read again from the mirror.

        Raises:
            RunNotFoundError: the run is not in this mirror.
        """
        if force:
            self._read_whole()
        return self._attrs

    def load_full_data(self, force: bool = False) -> dict[str, Any]:
        """The run's fields with its documents; one that is not JSON is left out.

        Raises:
            RunNotFoundError: the run is not in this mirror.
        """
        if force:
            self._read_whole()
        self._read_documents()
        self._lazy = False
        return self._attrs

    @property
    def pending(self) -> list[Pending]:
        """What was asked of this run and is not delivered, oldest first: as the outbox has it now, in any process."""
        return self._local.pending(self._run_path)

    def __getattr__(self, name: str) -> Any:
        """A field of the server, in either spelling; documents are read when they are asked for."""
        if "_seen" in self.__dict__:
            for field in (self.snake_to_camel(name), name):
                if field in _DOCUMENTS:
                    return self._document(field)
        return super().__getattr__(name)

    def __repr__(self) -> str:
        """Path and state, as the SDK shows them."""
        return f"<Run {'/'.join(self.path)} ({self.state})>"

    @property
    def _project_internal_id(self) -> int | None:
        found = self._attrs.get("projectId")
        try:
            return None if found is None else int(found)
        except ValueError as error:
            raise CommError(f"invalid literal for the project's id: {found!r}") from error

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

    def _read_whole(self) -> None:
        waiting = self._local.pending(self._run_path)  # before the lake: see `LocalMirror.pending`
        created = [item.entry for item in waiting if isinstance(item.operation, Create) and item.is_shown]
        try:
            found = read_run(self._local.reader, self._run_path)
        except NotMirrored:  # nothing at all was pulled into this home
            if not created:
                raise
            found = None
        if found is None:
            if not created:
                raise _not_found(self)
            found = created_run(created[0]), NO_DOCUMENTS
        self._take(*found, waiting)
        self._read_documents()

    def _take(self, run: LightRun, documents: Documents | None, waiting: Sequence[Pending]) -> None:
        """Make these the run's fields."""
        operations = tuple(item.operation for item in waiting if item.is_shown)
        self._seen = RunAsRead(run=run, documents=documents, operations=operations)
        self._malformed: dict[str, str] | None = None  # why, by field; None: the documents are not read yet
        run = overlaid(run, operations)
        self._state = run.state or "not found"
        self._attrs = wire_fields(run)
        self.user = User(self._attrs["user"]) if self._attrs["user"] is not None else None

    def _document(self, field: str) -> Any:
        """A document, parsed.

        Raises:
            CommError: it is not JSON.
        """
        self._read_documents()
        reason = (self._malformed or {}).get(field)
        if reason is not None:
            raise CommError(
                f"the {_DOCUMENTS[field]} of {self._run_path} cannot be read as JSON: {reason}",
                hint="the text that W&B sent is in `lake.runs`, which `mirror.connect()` asks in SQL",
            )
        return self._attrs[field]

    def _known_documents(self) -> Documents:
        """The texts of its documents, as the server sent them."""
        self._read_documents()
        return self._seen.documents or NO_DOCUMENTS

    def _known_document(self, field: str) -> Any:
        """The same; None for one that is not JSON."""
        self._read_documents()
        return self._attrs.get(field)

    def _known_summary(self) -> dict[str, Any]:
        """The summary; empty when it is not JSON."""
        found: dict[str, Any] = self._known_document("summaryMetrics") or {}
        return found

    @property
    def _malformed_documents(self) -> list[str]:
        """What people call the documents that are not JSON."""
        self._read_documents()
        return list(dict.fromkeys(_DOCUMENTS[field] for field in self._malformed or ()))

    def _read_documents(self) -> None:
        if self._malformed is not None:
            return
        documents = self._seen.documents
        if documents is None:
            documents = self._later.documents(self.id) if self._later is not None else NO_DOCUMENTS
            self._later = None
            self._seen = msgspec.structs.replace(self._seen, documents=documents)
        self._malformed = {}
        readers: dict[str, Callable[[], Any]] = {
            "config": self._config_as_seen,
            "rawconfig": self._rawconfig_as_seen,
            "summaryMetrics": self._summary_as_seen,
            "systemMetrics": lambda: as_dict(documents.system_metrics),
            "historyKeys": lambda: None if documents.history_keys is None else json.loads(documents.history_keys),
        }
        for field, read in readers.items():
            try:
                self._attrs[field] = read()
            except (ValueError, RecursionError) as error:
                self._malformed[field] = str(error)

    def _wire_config(self) -> dict[str, Any]:
        """The config as it was seen, in W&B's envelopes."""
        documents = self._seen.documents or NO_DOCUMENTS
        return overlaid_config(as_dict(documents.config), self._seen.operations)

    def _config_as_seen(self) -> dict[str, Any]:
        return unwrap_config(self._wire_config())

    def _rawconfig_as_seen(self) -> dict[str, Any]:
        return {key: item["value"] if is_pair(item) else item for key, item in self._wire_config().items()}

    def _summary_as_seen(self) -> dict[str, Any]:
        documents = self._seen.documents or NO_DOCUMENTS
        return overlaid_summary(as_dict(documents.summary), self._seen.operations)


def _not_found(run: RunFacts) -> RunNotFoundError:
    return RunNotFoundError(
        f"Could not find run {run}", hint=f"`wandb-mirror pull {in_shell(*run._run_path)}` fetches it"
    )
