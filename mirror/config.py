"""The configuration: TOML to frozen values. Unknown keys are errors that name their path; units are in the names.

Order of authority: the command line, then the environment (`WANDB_BASE_URL`), then the file, then the defaults here.
"""

from __future__ import annotations

import datetime as dt
import difflib
import hashlib
import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from mirror.errors import ConfigError
from mirror.narrowed import narrowed
from mirror.serve_settings import ServeSettings
from mirror.store_settings import StoreSettings
from mirror.typed import convert
from mirror.watch_settings import OfflineSettings, WatchSettings, project_of_watch

DEFAULT_BASE_URL = "https://api.wandb.ai"

# Bounded above, too: an infinite overlap or a page of 2^40 runs fits no clock and no request.
PositiveInt = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
PositiveFloat = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
ConflictPolicy = Literal["hold", "ours", "theirs"]
Minutes = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
PerSecondOrNone = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
PerSecond = Annotated[float, msgspec.Meta(ge=0.001, le=1e6)]  # slower than that would pass for stuck
Days = Annotated[float, msgspec.Meta(gt=0, le=36_500)]  # a century back is still a date


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where W&B is and how politely to ask it."""

    base_url: str = DEFAULT_BASE_URL
    aliases: tuple[str, ...] = ()  # other base URLs of the same server, for example an old host name
    api_key: str | None = None  # better left to WANDB_API_KEY, netrc or a credential file
    timeout_s: PositiveFloat = 30.0  # one GraphQL request
    retry_attempts: PositiveInt = 6  # tries of one request, the first included
    retry_wait_max_s: PositiveFloat = 20.0  # longest wait between two tries that the server did not ask for
    rate_limit_patience_minutes: Minutes = 15.0  # how long a request waits for a server that answers 429
    answer_max_mb: PositiveInt = 256  # the longest answer to one GraphQL request, when it is decompressed
    slow_bytes_per_s: PerSecondOrNone = 500.0  # bodies that come slower, all together, are given up; 0: none is
    slow_after_s: PositiveFloat = 60.0  # for so long a body may be slower
    concurrent_requests: PositiveInt = 4  # GraphQL requests under way at once
    concurrent_transfers: PositiveInt = 16  # downloads under way at once, per host

    def __repr__(self) -> str:
        """Without the key."""
        return f"ServerSettings(base_url={self.base_url!r}, api_key={'set' if self.api_key else None})"


class PullSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a pull walks a source."""

    overlap_minutes: PositiveFloat = 10.0  # how far before the watermark an incremental pass looks again
    reconcile_every_hours: PositiveFloat = 24.0  # how often every run is compared, to see edits and deletions
    page_size_start: PositiveInt = 100  # runs in the first page; it adapts from there
    page_size_max: PositiveInt = 1000  # runs in the largest page
    page_seconds_target: PositiveFloat = 8.0  # a page slower than this does not grow any further
    export_size_max_mb: PositiveFloat = 10_000.0  # the largest part of a history export
    requests_per_second: PerSecond | None = None  # GraphQL requests of the process at most; None: no ceiling
    gone_fraction_max: Fraction = 0.2  # a pass that would mark more of a project's runs as gone is refused


class DaemonSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the daemon paces itself."""

    poll_minutes: PositiveFloat = 10.0  # between two pulls of a source
    poll_active_minutes: PositiveFloat = 2.0  # the same while it has runs that have not ended
    poll_quiet_minutes: PositiveFloat = 60.0  # the same at most, while nothing new is found
    pulls_at_once: PositiveInt = 2  # sources that are pulled beside one another; the server's limits are shared
    rescan_s: PositiveFloat = 30.0  # how often the whole outbox is looked through, whatever was noticed
    probe_first_s: PositiveFloat = 5.0  # wait before a server that is away is asked again; doubled each time
    probe_longest_s: PositiveFloat = 300.0  # the longest such wait
    stop_within_s: PositiveFloat = 20.0  # what is being delivered may end so long after a stop; then it is put back
    stuck_after_minutes: PositiveFloat = 30.0  # a worker that does nothing so long is stuck
    maintain_every_hours: PositiveFloat = 24.0  # how often what `maintain` does is done, between two pulls
    crashes_max: PositiveInt = 5  # so many crashes of a worker within `crashes_within_minutes` end the process
    crashes_within_minutes: PositiveFloat = 10.0
    listen: str = ""  # HOST:PORT on loopback for /healthz and /metrics; empty: nowhere

    def __post_init__(self) -> None:
        """Check the address."""
        if self.listen:
            loopback_address(self.listen)


class HealthSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From when on something waits for a person that may settle itself."""

    late_after_hours: PositiveFloat = 6.0  # a good pull of a source is due by its own pace for longer
    backlog_after_hours: PositiveFloat = 6.0  # an operation is not delivered for longer
    disk_free_min_gb: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 1.0  # less is free where the home is
    pull_within_hours: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 0.0  # the pace of pulls without a daemon; 0: none


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what nothing needs any more is kept; what the mirror holds now is kept for ever."""

    snapshots_days: Days = 1.0  # how far back SQL may ask for an earlier state of the mirror
    files_days: Days = 1.0  # files of tables that no snapshot needs, for those who still read them
    objects_days: Days = 7.0  # bytes of files and exports that nothing refers to, from when they came
    partials_days: Days = 7.0  # downloads that nobody went on with
    generations: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 3  # of a run that was overwritten or made again


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One W&B `entity/project` that the mirror follows; `*`, `?` and `[…]` match as in a shell."""

    path: str
    filter: str = ""  # only runs that W&B's filter keeps, as JSON: '{"config.lr": {"$gt": 0.1}}'
    states: tuple[str, ...] = ()  # only runs in one of these states
    tags: tuple[str, ...] = ()  # only runs with all of these tags
    since: str = ""  # only runs made since a day, "2026-01-31", or within so many days, "90d"
    history: bool = True  # mirror what runs logged step by step
    streams: bool = True  # mirror system metrics and console output
    files_include: tuple[str, ...] = ("*",)  # globs over names of run files; `*` matches slashes, too
    files_exclude: tuple[str, ...] = ()  # globs that win over `files_include`
    file_size_max_mb: PositiveFloat = 1024.0  # larger run files are left out, and listed as such
    artifacts_include: tuple[str, ...] = ()  # globs over artifact names whose bytes are mirrored; none by default
    artifact_size_max_mb: PositiveFloat = 1024.0  # larger artifacts are left out, and listed as such
    conflicts: ConflictPolicy = "hold"  # what an edit does to a value that somebody else changed meanwhile
    poll_minutes: Minutes = 0.0  # between two pulls by the daemon; 0: as `[daemon]` says
    poll_cron: str = ""  # five fields of cron in local time, instead: the daemon pulls only then
    watch: tuple[WatchSettings, ...] = ()  # folders whose files the daemon uploads to runs of this source

    def __post_init__(self) -> None:
        """Check the form of the path, and that there is one pace."""
        check_source(self.path)
        if self.poll_minutes and self.poll_cron:
            raise ValueError("poll_minutes and poll_cron exclude each other")
        self.narrowed(dt.datetime.now(dt.UTC))
        for number, watch in enumerate(self.watch):
            try:
                project_of_watch(watch, self.project)
            except ValueError as error:
                raise ValueError(f"watch[{number}]: {error}") from error

    @property
    def wanted(self) -> str:
        """A digest of what of each run is wanted: when it changes, all runs have to be looked at."""
        settings = (
            self.history, self.streams, self.files_include, self.files_exclude, self.file_size_max_mb,
            self.artifacts_include, self.artifact_size_max_mb,
        )  # fmt: skip
        narrowing = (self.filter, self.states, self.tags, self.since)
        told = (*settings, *narrowing) if any(narrowing) else settings  # without any, the digest is as it always was
        return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:16]

    def narrowed(self, now: dt.datetime) -> dict[str, Any] | None:
        """Which runs are wanted, as W&B's filter; None: all.

        Raises:
            ValueError: one of the settings is wrong, in a sentence.
        """
        return narrowed(self.filter, self.states, self.tags, self.since, now)

    @property
    def entity(self) -> str:
        """The part before the slash."""
        return self.path.split("/")[0]

    @property
    def project(self) -> str:
        """The part behind the slash; it may hold a glob."""
        return self.path.split("/")[1]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    server: ServerSettings = ServerSettings()
    pull: PullSettings = PullSettings()
    store: StoreSettings = StoreSettings()
    retention: RetentionSettings = RetentionSettings()
    daemon: DaemonSettings = DaemonSettings()
    health: HealthSettings = HealthSettings()
    serve: ServeSettings = ServeSettings()
    source: tuple[SourceSettings, ...] = ()
    offline: tuple[OfflineSettings, ...] = ()


def check_source(path: str) -> None:
    """Refuse what is not `ENTITY/PROJECT`.

    Raises:
        ValueError: with a sentence that names the form.
    """
    parts = path.split("/")
    if len(parts) != 2 or not all(part.strip() == part and part for part in parts):
        raise ValueError(f"a source is ENTITY/PROJECT, such as my-team/my-project or my-team/*; got {path!r}")
    if not path.isprintable():
        raise ValueError(f"a source holds no control characters; got {path!r}")
    if any(mark in parts[0] for mark in "*?["):
        raise ValueError(f"the entity of a source is a plain name, only the project may hold a glob; got {path!r}")


def loopback_address(text: str) -> tuple[str, int]:
    """The numeric host and the port of `HOST:PORT`, which only programs of this machine can reach.

    Raises:
        ValueError: with a sentence that names the form.
    """
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"listen is HOST:PORT on loopback, such as 127.0.0.1:9155; got {text!r}")
    return host, int(port)


def sole_entity(sources: Iterable[SourceSettings]) -> str | None:
    """The entity of all sources; None where they have several, or there is none."""
    entities = {source.path.partition("/")[0] for source in sources}
    return entities.pop() if len(entities) == 1 else None


def source_of(sources: Sequence[SourceSettings], entity: str, project: str) -> SourceSettings | None:
    """The first source that names a project; None when none does."""
    for source in sources:
        if source.entity == entity and fnmatchcase(project, source.project):
            return source
    return None


def settings_of(sources: Sequence[SourceSettings], path: str) -> SourceSettings:
    """What of a path that a person names is wanted: as the first source that names it says, else by default."""
    entity, _, project = path.partition("/")
    found = source_of(sources, entity, project)
    return SourceSettings(path=path) if found is None else msgspec.structs.replace(found, path=path)


class Narrowing(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs alone a pull is asked for; what is not said stays as a source has it."""

    filter: str = ""
    states: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    since: str = ""

    def of(self, sources: Sequence[SourceSettings]) -> tuple[SourceSettings, ...]:
        """The sources, narrowed.

        Raises:
            ValueError: one of the fields is wrong, in a sentence.
        """
        said = {name: value for name, value in msgspec.structs.asdict(self).items() if value}
        return tuple(SourceSettings(**{**msgspec.structs.asdict(source), **said}) for source in sources)


def conflict_policy(sources: Sequence[SourceSettings], entity: str, project: str) -> ConflictPolicy:
    """What becomes of a value that both sides changed: the first source that names the project decides, else `hold`."""
    source = source_of(sources, entity, project)
    return "hold" if source is None else source.conflicts


def load_config(path: Path, env: Mapping[str, str] = os.environ) -> Config:
    """Read the file, then let the environment speak.

    Args:
        path: the TOML file; one that does not exist counts as empty.
        env: `WANDB_BASE_URL` is taken from here.

    Raises:
        ConfigError: it cannot be read or parsed, or a key is unknown or of a wrong type; the message has its path.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a mark in front
    except FileNotFoundError:
        text = ""
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text", hint="save it as UTF-8 in your editor") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{path} cannot be read: {why}", hint="check its owner and permissions") from error
    config = parse_config(text, origin=str(path))
    if base_url := env.get("WANDB_BASE_URL", "").strip():
        return msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, base_url=base_url))
    return config


def parse_config(text: str, *, origin: str) -> Config:
    """Turn TOML text into a `Config`.

    Args:
        text: the TOML text.
        origin: what to call the file in messages.

    Raises:
        ConfigError: with the line (syntax) or the path of the key (meaning).
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{origin} is not valid TOML: {error}",
            hint='a setting is NAME = VALUE below its [table], texts stand in quotes: base_url = "https://…"',
        ) from error
    try:
        return convert(raw, Config)
    except msgspec.ValidationError as error:
        message, hint = _explain(str(error))
        raise ConfigError(f"{origin}: {message}", hint=hint) from error


_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<where>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<field>[^`]*)`")
_KINDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "a text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_NOT_ALLOWED = re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL)
_CHOICES = ", ".join(f'"{choice}"' for choice in get_args(ConflictPolicy))  # of the only setting that has some
_UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]*)`")


def _explain(text: str) -> tuple[str, str]:
    """Turn a message of msgspec into one with the key's path, and a hint that names the nearest known key."""
    match = _AT.match(text)
    where = ((match["where"] if match else "") or "").lstrip(".")
    what = match["what"] if match else text
    if unknown := _UNKNOWN.search(what):
        field = unknown["field"]
        known = _fields_at(where)
        near = difflib.get_close_matches(field, known, n=1)
        path = f"{where}.{field}" if where else field
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"{path} is not a known setting", hint
    if missing := _MISSING.search(what):
        return f"{where}: {missing['field']} is missing", _example(where)
    if wrong := _NOT_ALLOWED.fullmatch(what):
        return f"{where}: {wrong['value']} is not one of {_CHOICES}", _example(where)
    what = re.sub(r"`([a-z |]+)`", lambda match: " or ".join(map(_kind, match[1].split(" | "))), what)
    what = what.replace("Expected", "expected", 1)
    return (f"{where}: {what}" if where else what), _example(where)


def _kind(name: str) -> str:
    """A TOML type for people."""
    return _KINDS.get(name, name)


def _example(where: str) -> str:
    """How a setting is written, from its default."""
    table, _, name = where.partition(".")
    if name.startswith("watch"):
        return 'a watch is written below its source as [[source.watch]] with folder = "/data/runs" and run = "RUN_ID"'
    if table == "source" or table.startswith("source["):
        return 'sources are written as [[source]] and below it path = "my-team/my-project"'
    default = getattr(getattr(Config(), table, None), name, None) if name.isidentifier() else None
    if isinstance(default, tuple):
        return f'{name} = ["…", "…"]'
    return "" if default is None else f"the default is {name} = {json.dumps(default)}"


def _fields_at(where: str) -> list[str]:
    """The names that a table of the file may hold."""
    table = "source.watch" if ".watch[" in where else re.sub(r"\[.*", "", where)
    return list(tables_of_file().get(table, Config).__struct_fields__)


def tables_of_file() -> dict[str, type[msgspec.Struct]]:
    """The tables that the file may hold, by name; those behind `source` may come again."""
    fields = msgspec.structs.fields(Config)
    once = {field.encode_name: field.type for field in fields if isinstance(field.default, msgspec.Struct)}
    return {**once, "source": SourceSettings, "source.watch": WatchSettings, "offline": OfflineSettings}
