"""The configuration: TOML to frozen values. Unknown keys are errors that name their path; units are in the names.

Order of authority: the command line, then the environment (`WANDB_BASE_URL`), then the file, then the defaults here.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from mirror.errors import ConfigError

DEFAULT_BASE_URL = "https://api.wandb.ai"

# Bounded above, too: an infinite overlap or a page of 2^40 runs fits no clock and no request.
PositiveInt = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
PositiveFloat = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where W&B is and how politely to ask it."""

    base_url: str = DEFAULT_BASE_URL
    aliases: tuple[str, ...] = ()  # other base URLs of the same server, for example an old host name
    api_key: str | None = None  # better left to WANDB_API_KEY, netrc or a credential file
    timeout_s: PositiveFloat = 30.0  # one GraphQL request
    retry_attempts: PositiveInt = 6  # tries of one request, the first included
    retry_wait_max_s: PositiveFloat = 20.0  # longest wait between two tries that the server did not ask for
    concurrent_requests: PositiveInt = 4  # GraphQL requests under way at once

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
    gone_fraction_max: Fraction = 0.2  # a pass that would mark more of a project's runs as gone is refused


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the local database may use."""

    memory_limit_mb: Annotated[int, msgspec.Meta(ge=128)] = 1024
    threads: PositiveInt | None = None  # None: as many as there are cores


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One W&B `entity/project` that the mirror follows; `*`, `?` and `[…]` match as in a shell."""

    path: str

    def __post_init__(self) -> None:
        """Check the form of the path."""
        check_source(self.path)

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
    source: tuple[SourceSettings, ...] = ()


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
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
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
        raise ConfigError(f"{origin} is not valid TOML: {error}") from error
    try:
        return msgspec.convert(raw, Config, strict=True)
    except msgspec.ValidationError as error:
        message, hint = _explain(str(error))
        raise ConfigError(f"{origin}: {message}", hint=hint) from error


_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<where>[^`]*)`)?$", re.DOTALL)
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
    return (f"{where}: {what}" if where else what), ""


def _fields_at(where: str) -> list[str]:
    """The names that a table of the file may hold."""
    tables: dict[str, type[msgspec.Struct]] = {
        "server": ServerSettings,
        "pull": PullSettings,
        "store": StoreSettings,
        "source": SourceSettings,
    }
    struct = tables.get(re.sub(r"\[.*", "", where), Config)
    return list(struct.__struct_fields__)
