"""One run, one sweep: the bytes of a node become a record, or a bad run with its reason.

Rows are decoded one by one from raw bytes: a row that lies about its types never spoils its page, and a field that does
never spoils its row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from mirror.api.rows.answers import one_line
from mirror.api.rows.flaws import asked_by, decode_flawed, names_in, names_told
from mirror.api.rows.pages import BadRun
from mirror.api.rows.scalars import NULL, Int64, NonEmpty, int_or_none, is_null, json_text, to_int
from mirror.api.rows.times import time_or_none
from mirror.records.projects import SweepRecord
from mirror.records.runs import RunRecord
from mirror.typed import decode


class _User(msgspec.Struct):
    name: str | None = None
    username: str | None = None


class _Run(msgspec.Struct, rename="camel"):
    name: NonEmpty
    id: str = ""  # a server that does not tell it lets its runs be read, not edited
    display_name: str | None = None
    state: str | None = None
    tags: list[str | None] | None = None
    group: str | None = None
    job_type: str | None = None
    sweep_name: str | None = None
    notes: str | None = None
    description: str | None = None
    commit: str | None = None
    user: msgspec.Raw = NULL
    read_only: bool | None = None
    project_id: str | int | None = None
    created_at: str | None = None
    heartbeat_at: str | None = None
    updated_at: str | None = None
    host: str | None = None
    history_line_count: Int64 = None
    history_keys: msgspec.Raw = NULL
    config: msgspec.Raw = NULL
    summary_metrics: msgspec.Raw = NULL
    system_metrics: msgspec.Raw = NULL


class _Sweep(msgspec.Struct, rename="camel"):
    id: NonEmpty
    name: NonEmpty
    display_name: str | None = None
    state: str | None = None
    method: str | None = None
    description: str | None = None
    config: msgspec.Raw = NULL
    best_loss: float | str | None = None
    run_count: Int64 = None
    run_count_expected: Int64 = None
    created_at: str | None = None
    updated_at: str | None = None
    heartbeat_at: str | None = None


_asked, _asked_of_user = asked_by(_Run), asked_by(_User)


class _Names(msgspec.Struct):
    id: msgspec.Raw = NULL
    name: msgspec.Raw = NULL


# Fields of the record that come of a field of the server's, where their names differ.
_MADE_OF = {
    "name": ("run_id",),
    "id": ("storage_id",),
    "displayName": ("display_name",),
    "jobType": ("job_type",),
    "sweepName": ("sweep",),
    "user": ("user", "user_name"),
    "user.username": ("user",),
    "user.name": ("user_name",),
    "readOnly": ("read_only",),
    "projectId": ("project_internal_id",),
    "createdAt": ("created_at", "created_at_text"),
    "heartbeatAt": ("heartbeat_at", "heartbeat_at_text"),
    "updatedAt": ("updated_at", "updated_at_text"),
    "historyLineCount": ("history_line_count",),
    "historyKeys": ("history_keys_text",),
    "config": ("config_text",),
    "summaryMetrics": ("summary_text",),
    "systemMetrics": ("system_metrics_text",),
}


def made_of(name: str) -> tuple[str, ...]:
    """The fields of a record that come of a field of the server's."""
    return _MADE_OF.get(name, (name,))


_UPDATED = frozenset({"updated_at", "updated_at_text"})
_LATER = ("host", "origin")  # fields that came after the first digests were stored
_FINGERPRINTED = tuple(
    name
    for name in RunRecord.__struct_fields__
    if name not in {"read_only", "created_at", "heartbeat_at", "fingerprint", "flaws", "untold", *_UPDATED, *_LATER}
)


def to_run(
    node: msgspec.Raw | bytes,
    entity: str,
    project: str,
    *,
    failed: Mapping[str, str] = MappingProxyType({}),
    is_doubtful: bool = False,
) -> RunRecord:
    """A run as a value.

    Args:
        node: the bytes of one `Run`, as the fragment `RunFields` asks for it; sound JSON (see `lenient`).
        entity: the entity it was asked under.
        project: the project it was asked under.
        failed: fields that the server could not serve, with its words.
        is_doubtful: something failed of which the server does not say what: a field that is null was not told.

    Raises:
        ValueError: the node is not a run, or its names cannot be read.
    """
    wire, decode_flaws = decode_flawed(node, _Run)
    flaws = {_field_of(path): why for path, why in failed.items() if path.partition(".")[0] in _asked}
    flaws = {**decode_flaws, **flaws}
    untold = _asked - (names_told(node) if is_doubtful else names_in(node))
    user = _User()
    if not is_null(wire.user):
        user, user_flaws, user_untold = _user(wire.user)
        flaws |= user_flaws
        untold |= user_untold
    elif any(name.startswith("user.") for name in flaws):  # a name that may not be null took the account along
        flaws["user"] = next(reason for name, reason in flaws.items() if name.startswith("user."))
    try:
        count = to_int(wire.history_line_count)
    except ValueError as error:
        count, flaws["historyLineCount"] = None, str(error)
    run = RunRecord(
        entity=entity,
        project=project,
        run_id=wire.name,
        storage_id=wire.id,
        display_name=wire.display_name,
        state=wire.state,
        tags=tuple(tag for tag in wire.tags or () if tag is not None),
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
        updated_at=time_or_none(wire.updated_at),
        updated_at_text=wire.updated_at,
        host=wire.host,
        history_line_count=count,
        history_keys_text=json_text(wire.history_keys),
        config_text=json_text(wire.config),
        summary_text=json_text(wire.summary_metrics),
        system_metrics_text=json_text(wire.system_metrics),
        fingerprint="",
        flaws={made: reason for name, reason in flaws.items() for made in made_of(name)},
        untold=frozenset(made for name in untold - flaws.keys() for made in made_of(name)),
    )
    return with_fingerprint(run)


def _field_of(path: str) -> str:
    """The field that failed, where a path leads to a place in its value: `tags` of `tags.1`."""
    field, _, inner = path.partition(".")
    return path if field == "user" and inner in _asked_of_user else field


def _user(node: msgspec.Raw) -> tuple[_User, Mapping[str, str], frozenset[str]]:
    """Who started a run, what of it is wrong, and what is not there, by the server's names."""
    try:
        user, flaws = decode_flawed(node, _User)
        there = names_in(node)
    except ValueError as error:
        return _User(), {"user": one_line(str(error), 200)}, frozenset()
    lacking = _asked_of_user - there
    return user, {f"user.{name}": why for name, why in flaws.items()}, frozenset(f"user.{name}" for name in lacking)


def to_run_or_bad(
    node: msgspec.Raw | bytes,
    entity: str,
    project: str,
    *,
    failed: Mapping[str, str] = MappingProxyType({}),
    is_doubtful: bool = False,
) -> RunRecord | BadRun:
    """`to_run`, with a named reason in place of an exception."""
    try:
        return to_run(node, entity, project, failed=failed, is_doubtful=is_doubtful)
    except (ValueError, RecursionError) as error:
        run_id, storage_id = names_of(node)
        return BadRun(
            run_id=run_id, storage_id=storage_id, reason=one_line(f"the server's answer for this run: {error}")
        )


def to_sweep(node: msgspec.Raw | bytes, entity: str, project: str) -> SweepRecord:
    """A sweep as a value.

    Raises:
        ValueError: the node is not a sweep, or its names cannot be read.
    """
    wire, _ = decode_flawed(node, _Sweep)
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
        best_loss=_float_or_none(wire.best_loss),
        run_count=int_or_none(wire.run_count),
        run_count_expected=int_or_none(wire.run_count_expected),
        created_at=time_or_none(wire.created_at),
        created_at_text=wire.created_at,
        updated_at=time_or_none(wire.updated_at),
        heartbeat_at=time_or_none(wire.heartbeat_at),
    )


def _float_or_none(value: float | str | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def names_of(node: msgspec.Raw | bytes) -> tuple[str | None, str | None]:
    """Run id and storage id of a node, as far as they can be read."""
    try:
        names = decode(node, _Names)
        texts = [json_text(names.name), json_text(names.id)]
    except (ValueError, RecursionError):
        return None, None
    return texts[0] or None, texts[1] or None


def with_fingerprint(run: RunRecord) -> RunRecord:
    """The run with the digest over its fields as they are."""
    return msgspec.structs.replace(run, fingerprint=fingerprint(run))


def fingerprint(run: RunRecord) -> str:
    """Digest over a run's fields in their order; equal digests mean that nothing needs to be written.

    MessagePack is the canonical form: one copy of the large texts, no escaping, the same bytes on every Python.
    `read_only` is left out: it tells about the reader's rights and not about the run. Parsed times are left out
    because their raw texts are in. `updatedAt` is left out and compared on its own: a run of which nothing but that
    moved was touched in a way that no listing shows. A later field is in where the server gives it, so that a lake of
    an older mirror is not written anew for a server that lacks it.
    """
    fields = [getattr(run, name) for name in _FINGERPRINTED]
    fields += [{name: value} for name in _LATER if (value := getattr(run, name)) is not None]
    return hashlib.blake2b(msgspec.msgpack.encode(fields), digest_size=16).hexdigest()
