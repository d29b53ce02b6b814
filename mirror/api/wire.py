"""The answers' shapes, and the pure functions that make records of them.

Rows are decoded one by one from raw bytes: a row that lies about its types becomes a `BadRun` and never spoils its
page. The shapes ask only for what the mirror needs, so that a server may add fields.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from mirror.api.answers import one_line
from mirror.api.pages import BadRun
from mirror.api.times import time_or_none
from mirror.records.projects import ProjectRecord, SweepRecord
from mirror.records.runs import RunRecord

_NULL = msgspec.Raw(b"null")
_INT64 = range(-(2**63), 2**63)
_NonEmpty = Annotated[str, msgspec.Meta(min_length=1, pattern="^[^\\0]+$")]  # no request could name a NUL

# W&B API notes, section 4: Int64 is a number or a numeric string; a number may come with `.0`.
Int64 = int | float | str | None


class WirePageInfo(msgspec.Struct, rename="camel"):
    """Whether a listing goes on."""

    end_cursor: str | None = None
    has_next_page: bool = False


class WireEdge(msgspec.Struct):
    """One row of a listing; the row itself stays raw."""

    cursor: str | None = None
    node: msgspec.Raw = _NULL


class WireConnection(msgspec.Struct, rename="camel"):
    """One page of a listing."""

    edges: list[WireEdge | None]
    page_info: WirePageInfo

    @property
    def rows(self) -> list[WireEdge]:
        """The edges that are there."""
        return [edge for edge in self.edges if edge is not None]

    @property
    def last_cursor(self) -> str | None:
        """Where to continue: the SDK does so from the last edge (W&B API notes, section 5)."""
        rows = self.rows
        return (rows[-1].cursor if rows else None) or self.page_info.end_cursor


class WireProject(msgspec.Struct, rename="camel"):
    """A project, with the listings that were asked along with it."""

    id: str | None = None
    internal_id: str | int | None = None
    name: str | None = None
    created_at: str | None = None
    run_count: int | None = None
    counted: int | None = None
    held: int | None = None
    runs: WireConnection | None = None
    sweeps: WireConnection | None = None
    run: msgspec.Raw = _NULL

    def record(self, entity: str, name: str) -> ProjectRecord:
        """The project as a value, under the name it was asked or listed by."""
        return ProjectRecord(
            entity=entity,
            project=name,
            storage_id=self.id or "",
            internal_id=None if self.internal_id is None else str(self.internal_id),
            created_at=time_or_none(self.created_at),
            created_at_text=self.created_at,
            run_count=self.held if self.run_count is None else self.run_count,
        )


class ProjectData(msgspec.Struct):
    """Data of every query about one project."""

    project: WireProject | None


class ProjectsData(msgspec.Struct):
    """Data of the listing of projects."""

    models: WireConnection | None


class _Team(msgspec.Struct):
    name: str | None = None


class _TeamEdge(msgspec.Struct):
    node: _Team | None = None


class _Teams(msgspec.Struct):
    edges: list[_TeamEdge | None] | None = None


class WireViewer(msgspec.Struct):
    """The account behind a key."""

    username: str | None = None
    entity: str | None = None
    teams: _Teams | None = None

    @property
    def team_names(self) -> tuple[str, ...]:
        """Names of the teams that have one."""
        edges = (self.teams.edges if self.teams else None) or []
        return tuple(edge.node.name for edge in edges if edge and edge.node and edge.node.name)


class ViewerData(msgspec.Struct):
    """Data of the query for the viewer."""

    viewer: WireViewer | None


class _Feature(msgspec.Struct, rename="camel"):
    name: str
    is_enabled: bool


class _ServerInfo(msgspec.Struct):
    features: list[_Feature | None] | None = None


class FeaturesData(msgspec.Struct, rename="camel"):
    """Data of the query for the server's features."""

    server_info: _ServerInfo | None

    @property
    def enabled(self) -> frozenset[str]:
        """Names of the features that are on; an unlisted one is off (W&B API notes, section 3)."""
        features = (self.server_info.features if self.server_info else None) or []
        return frozenset(feature.name for feature in features if feature and feature.is_enabled)


class RunNames(msgspec.Struct, rename="camel"):
    """A run in a listing that asks for its names alone."""

    id: str | None = None
    name: str | None = None
    created_at: str | None = None


class _User(msgspec.Struct):
    name: str | None = None
    username: str | None = None


class _Run(msgspec.Struct, rename="camel"):
    id: _NonEmpty
    name: _NonEmpty
    display_name: str | None = None
    state: str | None = None
    tags: list[str] | None = None
    group: str | None = None
    job_type: str | None = None
    sweep_name: str | None = None
    notes: str | None = None
    description: str | None = None
    commit: str | None = None
    user: _User | None = None
    read_only: bool | None = None
    project_id: str | int | None = None
    created_at: str | None = None
    heartbeat_at: str | None = None
    history_line_count: Int64 = None
    history_keys: msgspec.Raw = _NULL
    config: msgspec.Raw = _NULL
    summary_metrics: msgspec.Raw = _NULL
    system_metrics: msgspec.Raw = _NULL


class _Sweep(msgspec.Struct, rename="camel"):
    id: _NonEmpty
    name: _NonEmpty
    display_name: str | None = None
    state: str | None = None
    method: str | None = None
    description: str | None = None
    config: msgspec.Raw = _NULL
    best_loss: float | str | None = None
    run_count: Int64 = None
    run_count_expected: Int64 = None
    created_at: str | None = None
    updated_at: str | None = None
    heartbeat_at: str | None = None


class _Names(msgspec.Struct):
    id: msgspec.Raw = _NULL
    name: msgspec.Raw = _NULL


_FINGERPRINTED = tuple(
    name
    for name in RunRecord.__struct_fields__
    if name not in {"read_only", "created_at", "heartbeat_at", "fingerprint"}
)
_run_decoder = msgspec.json.Decoder(_Run)
_sweep_decoder = msgspec.json.Decoder(_Sweep)


def to_run(node: msgspec.Raw | bytes, entity: str, project: str) -> RunRecord:
    """A run as a value.

    Args:
        node: the bytes of one `Run`, as the fragment `RunFields` asks for it; sound JSON (see `lenient`).
        entity: the entity it was asked under.
        project: the project it was asked under.

    Raises:
        ValueError: the node is not a run, or lies about its types.
    """
    wire = _run_decoder.decode(node)
    user = wire.user or _User()
    run = RunRecord(
        entity=entity,
        project=project,
        run_id=wire.name,
        storage_id=wire.id,
        display_name=wire.display_name,
        state=wire.state,
        tags=tuple(wire.tags or ()),
        group=wire.group,
        job_type=wire.job_type,
        sweep=wire.sweep_name,
        notes=wire.notes,
        description=wire.description,
        commit=wire.commit,
        user=user.username,
        user_name=user.name,
        read_only=wire.read_only,
        project_internal_id=None if wire.project_id is None else str(wire.project_id),
        created_at=time_or_none(wire.created_at),
        created_at_text=wire.created_at,
        heartbeat_at=time_or_none(wire.heartbeat_at),
        heartbeat_at_text=wire.heartbeat_at,
        history_line_count=to_int(wire.history_line_count),
        history_keys_text=json_text(wire.history_keys),
        config_text=json_text(wire.config),
        summary_text=json_text(wire.summary_metrics),
        system_metrics_text=json_text(wire.system_metrics),
        fingerprint="",
    )
    return msgspec.structs.replace(run, fingerprint=fingerprint(run))


def to_run_or_bad(node: msgspec.Raw | bytes, entity: str, project: str) -> RunRecord | BadRun:
    """`to_run`, with a named reason in place of an exception."""
    try:
        return to_run(node, entity, project)
    except (ValueError, RecursionError) as error:
        run_id, storage_id = names_of(node)
        return BadRun(
            run_id=run_id, storage_id=storage_id, reason=one_line(f"the server's answer for this run: {error}")
        )


def to_sweep(node: msgspec.Raw | bytes, entity: str, project: str) -> SweepRecord:
    """A sweep as a value.

    Raises:
        ValueError: the node is not a sweep, or lies about its types.
    """
    wire = _sweep_decoder.decode(node)
    return SweepRecord(
        entity=entity,
        project=project,
        sweep_id=wire.name,
        storage_id=wire.id,
        display_name=wire.display_name,
        state=wire.state,
        method=wire.method,
        description=wire.description,
        config_text=json_text(wire.config),
        best_loss=None if wire.best_loss is None else float(wire.best_loss),
        run_count=to_int(wire.run_count),
        run_count_expected=to_int(wire.run_count_expected),
        created_at=time_or_none(wire.created_at),
        created_at_text=wire.created_at,
        updated_at=time_or_none(wire.updated_at),
        heartbeat_at=time_or_none(wire.heartbeat_at),
    )


def names_of(node: msgspec.Raw | bytes) -> tuple[str | None, str | None]:
    """Run id and storage id of a node, as far as they can be read."""
    try:
        names = msgspec.json.decode(node, type=_Names)
        texts = [json_text(names.name), json_text(names.id)]
    except (ValueError, RecursionError):
        return None, None
    return texts[0] or None, texts[1] or None


def is_null(raw: msgspec.Raw) -> bool:
    """Whether a value that was kept raw is null or was not there."""
    return bytes(raw).strip() == b"null"


def json_text(raw: msgspec.Raw) -> str | None:
    """The JSON text inside a JSONString, or of a plain JSON value: servers send both (W&B API notes, section 4)."""
    data = bytes(raw).strip()
    if data == b"null":
        return None
    return msgspec.json.decode(data, type=str) if data.startswith(b'"') else data.decode()


def to_int(value: Int64) -> int | None:
    """An Int64 from any of its spellings.

    Raises:
        ValueError: it is not an integer of 64 bits.
    """
    if value is None:
        return None
    try:
        number = int(value)
    except OverflowError:  # an infinity
        raise ValueError("a count is not an integer of 64 bits") from None
    if number not in _INT64 or (isinstance(value, float) and value != number):
        raise ValueError("a count is not an integer of 64 bits")
    return number


def fingerprint(run: RunRecord) -> str:
    """Digest over a run's fields in their order; equal digests mean that nothing needs to be written.

    MessagePack is the canonical form: one copy of the large texts, no escaping, the same bytes on every Python.
    `read_only` is left out: it tells about the reader's rights and not about the run. Parsed times are left out
    because their raw texts are in.
    """
    fields = [getattr(run, name) for name in _FINGERPRINTED]
    return hashlib.blake2b(msgspec.msgpack.encode(fields), digest_size=16).hexdigest()
