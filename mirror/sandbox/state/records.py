"""What the sandbox remembers: plain mutable records, changed only by SandboxState under its lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from mirror.sandbox.histories.export_style import ExportStyle
from mirror.wandb_protocol.wire import NonFinite, parse_object

CollectionKind = Literal["SEQUENCE", "PORTFOLIO"]
ENDED_STATES = frozenset({"finished", "crashed", "failed", "killed", "preempted"})


@dataclass(kw_only=True, eq=False)
class UserRecord:
    """A person or service account, with the one key that authenticates it."""

    number: int
    username: str
    api_key: str
    entity: str  # default entity
    entities: set[str]  # every entity whose private projects the key may read and whose projects it may write
    email: str
    admin: bool = False
    everywhere: bool = False  # a member of every entity, known yet or not
    service: bool = False  # a service account
    full_name: str | None = None
    id: str = ""

    @property
    def name(self) -> str:
        return self.full_name or self.username

    def belongs_to(self, entity: str) -> bool:
        """Whether the key may write to the entity and read its private projects."""
        return self.admin or self.everywhere or entity in self.entities


@dataclass(kw_only=True, eq=False)
class FileRecord:
    """A run file. `object_key` names its bytes in the bucket; a file without bytes was announced only."""

    id: str
    name: str
    run: RunRecord
    object_key: str
    size: int | None = None  # None while nothing was uploaded
    md5: str | None = None  # base64
    mimetype: str | None = None
    updated_at: str | None = None
    listed: bool = True  # False until the upload is registered
    reference: str | None = None  # a reference file: both URLs are this one


@dataclass(kw_only=True, eq=False)
class ExportPart:
    """One Parquet file of a history export."""

    object_key: str
    rows: int


@dataclass(kw_only=True, eq=False)
class ConsoleLine:
    """One line of console output. `timestamp` is UTC without a zone, "" when unknown."""

    line: str
    timestamp: str = ""
    level: str = ""  # "error" for stderr
    label: str = ""


@dataclass(kw_only=True, eq=False, repr=False)
class RunRecord:
    """A run. Texts are kept as they go over the wire, so that a test can store anything in them."""

    number: int  # order of creation inside the server
    id: str  # storage id
    name: str  # run id
    project: ProjectRecord
    display_name: str | None
    user: UserRecord | None
    state: str
    created_at: str
    heartbeat_at: str | None
    updated_at: str
    config_text: str | None = None
    summary_text: str | None = None
    system_metrics_text: str | None = None
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    description: str | None = None
    group: str | None = None
    job_type: str | None = None
    commit: str | None = None
    host: str | None = None
    program: str | None = None
    framework: str | None = None
    github: str | None = None
    job_id: int | None = None
    sweep_name: str | None = None
    agent_id: str | None = None
    deleted_at: str | None = None
    pending_updates: bool = False
    exit_code: int | None = None
    stop_requested: bool = False
    nonfinite: NonFinite = "bare"
    history: list[dict[str, Any]] = field(default_factory=list)  # in step order
    history_lines: dict[int, dict[str, Any]] = field(default_factory=dict)  # file_stream rows by line offset
    exported: set[int] = field(default_factory=set)  # steps covered by `parts`
    parts: list[ExportPart] = field(default_factory=list)
    export_style: ExportStyle = field(default_factory=ExportStyle)
    export_due_s: float | None = None  # when a late export is written, seconds since the epoch
    serves_live_data: bool = True
    history_is_lost: bool = False  # asking for its history is a 500
    events: list[dict[str, Any]] = field(default_factory=list)
    console: list[ConsoleLine] = field(default_factory=list)
    console_written: bool = False
    files: dict[str, FileRecord] = field(default_factory=dict)
    logged: list[ArtifactRecord] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    used: list[ArtifactRecord] = field(default_factory=list)
    _parsed: dict[str, tuple[str | None, dict[str, Any]]] = field(default_factory=dict)
    _keys: tuple[int, dict[str, Any] | None] = (-1, None)
    history_version: int = 0

    @property
    def config(self) -> dict[str, Any]:
        """The parsed config envelope ({} when the text does not parse); parsed once per text."""
        return self._parse("config", self.config_text)

    @property
    def summary(self) -> dict[str, Any]:
        """The parsed summary."""
        return self._parse("summary", self.summary_text)

    def _parse(self, name: str, text: str | None) -> dict[str, Any]:
        held = self._parsed.get(name)
        if held is None or held[0] is not text:
            held = (text, parse_object(text))
            self._parsed[name] = held
        return held[1]


@dataclass(kw_only=True, eq=False, repr=False)
class SweepRecord:
    """A sweep; `config_text` is YAML."""

    id: str
    name: str
    project: ProjectRecord
    config_text: str
    method: str
    state: str
    created_at: str
    updated_at: str
    user: UserRecord | None
    display_name: str | None = None
    description: str | None = None
    run_count_expected: int | None = None
    prior_runs: list[str] = field(default_factory=list)  # run ids
    queued: list[RunRecord] = field(default_factory=list)  # pending runs that wait for an agent
    handed_out: int = 0  # runs that the scheduler made


@dataclass(kw_only=True, eq=False, repr=False)
class AgentRecord:
    """An agent of a sweep, with the runs that it got."""

    id: str
    name: str
    host: str
    sweep: SweepRecord
    created_at: str
    heartbeat_at: str
    state: str = "RUNNING"
    runs: list[RunRecord] = field(default_factory=list)


@dataclass(kw_only=True, eq=False, repr=False)
class ProjectRecord:
    """A project and everything in it."""

    number: int  # internalId
    id: str
    entity: str
    name: str
    private: bool
    created_at: str
    user: UserRecord | None
    description: str | None = None
    runs: dict[str, RunRecord] = field(default_factory=dict)  # by run id
    sweeps: dict[str, SweepRecord] = field(default_factory=dict)
    collections: dict[str, CollectionRecord] = field(default_factory=dict)  # artifact collections by name
    artifact_types: dict[str, str] = field(default_factory=dict)  # name → created_at
    allowed_types: set[str] | None = None  # a registry's; None allows every type
    access: str | None = None  # as it was set; None follows `private`
    members: dict[str, str] = field(default_factory=dict)  # a registry's users, by username → role
    team_members: dict[str, str] = field(default_factory=dict)  # a registry's teams, by name → role
    version: int = 0  # moves with every change of any run, so that sorted listings can be kept


@dataclass(kw_only=True, eq=False, repr=False)
class CollectionRecord:
    """A sequence, in which versions are made, or a portfolio, to which versions made elsewhere are linked.

    Both number their members v0, v1, ... and hold the aliases that point to them.
    """

    id: str
    name: str
    project: ProjectRecord
    type_name: str
    created_at: str
    kind: CollectionKind = "SEQUENCE"
    state: str = "READY"
    updated_at: str | None = None
    description: str | None = None
    digest_algorithm: str = "MANIFEST_MD5"
    members: list[MembershipRecord] = field(default_factory=list)  # in the order of their version index
    next_version: int = 0  # a version index is never given again
    aliases: dict[str, ArtifactRecord] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)

    @property
    def versions(self) -> list[ArtifactRecord]:
        """The committed or deleted versions in it, by version index."""
        return [member.artifact for member in self.members]


@dataclass(kw_only=True, eq=False, repr=False)
class MembershipRecord:
    """A version's place in a collection."""

    id: str
    collection: CollectionRecord
    artifact: ArtifactRecord
    version: int
    created_at: str


@dataclass(kw_only=True, eq=False, repr=False)
class ArtifactRecord:
    """One version. `manifest_key` names the manifest's bytes in the bucket."""

    id: str
    number: int
    collection: CollectionRecord  # the sequence
    digest: str
    digest_algorithm: str
    created_at: str
    creator: RunRecord | UserRecord | None
    state: str = "PENDING"
    version: int | None = None
    description: str | None = None
    metadata: str | None = None
    wanted_aliases: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    history_step: int | None = None
    updated_at: str | None = None
    client_id: str | None = None
    manifest_id: str | None = None
    manifest_key: str | None = None
    manifest_digest: str | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    used_by: list[RunRecord] = field(default_factory=list)
    memberships: list[MembershipRecord] = field(default_factory=list)  # its sequence's first, then its links
