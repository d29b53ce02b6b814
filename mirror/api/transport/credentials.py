"""Where the API key comes from, and a value that holds it without ever showing it."""

from __future__ import annotations

import netrc
import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import httpx

from mirror.api.transport.deployment import Deployment
from mirror.config import ServerSettings
from mirror.durable import write_replace
from mirror.errors import AuthError, ConfigError

# W&B API notes, section 1: an optional prefix and `-` (on-prem: `local-…`), then at least 40 of these characters.
_KEY = re.compile(r"(?:[A-Za-z0-9_.]+-)?[A-Za-z0-9_-]{40,}")
# The same section: a key in the shape of a JWT is sent the same way.
_JWT = re.compile(r"(?=.{40})[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_CREDENTIAL_FILE = "wandb-api-key"


class ApiKey:
    """A W&B API key that no repr, str, format or pickle shows."""

    __slots__ = ("_secret", "source", "warnings")

    source: Final[str]  # where it was found, for people: "WANDB_API_KEY" or "~/.netrc (api.wandb.ai)"
    warnings: Final[tuple[str, ...]]  # what could not be read on the way, one sentence each

    def __init__(self, secret: str, source: str, warnings: tuple[str, ...] = ()) -> None:
        """Hold `secret`.

        Raises:
            AuthError: it does not have the form of an API key.
        """
        text = secret.strip()
        if not (_KEY.fullmatch(text) or _JWT.fullmatch(text)):
            # The length helps to see a key that was cut; the key itself is never repeated.
            raise AuthError(
                f"the API key from {source} does not look like one: it has {len(text)} characters, "
                "but a W&B key is at least 40 letters, digits, dashes or underscores",
                hint="copy the key again from the W&B user settings",
            )
        self._secret = text
        self.source = source
        self.warnings = warnings

    def reveal(self) -> str:
        """The key itself, for the Authorization header and nothing else."""
        return self._secret

    def __repr__(self) -> str:
        """Without the key."""
        return f"ApiKey(from {self.source})"

    def __reduce__(self) -> str | tuple[object, ...]:
        """Refuse pickling: a pickle would hold the key in clear."""
        raise TypeError("an ApiKey is not written anywhere")


def authorization(deployment: Deployment, key: ApiKey, url: str | httpx.URL) -> dict[str, str]:
    """The Authorization header for `url`: empty unless it is on the base URL. W&B API notes, section 1."""
    if not deployment.is_base_url(url):
        return {}
    return {"Authorization": "Basic " + b64encode(b"api:" + key.reveal().encode()).decode()}


def find_api_key(
    settings: ServerSettings,
    deployment: Deployment,
    env: Mapping[str, str] = os.environ,
    home: Path | None = None,
) -> ApiKey:
    """The API key for a deployment: config file, systemd credential, WANDB_API_KEY, then netrc.

    Args:
        settings: `api_key` of the config file comes first.
        deployment: netrc is searched for every host name of it.
        env: `CREDENTIALS_DIRECTORY`, `WANDB_API_KEY` and `NETRC` are read.
        home: where `.netrc` and `_netrc` are looked for; None: the user's home.

    Raises:
        AuthError: there is no key anywhere, or the first one found is malformed.
    """
    warnings: list[str] = []
    for secret, source in _candidates(settings, deployment, env, Path.home() if home is None else home, warnings):
        return ApiKey(secret, source, tuple(warnings))
    found = f" ({'; '.join(warnings)})" if warnings else ""
    raise AuthError(f"there is no API key for {deployment.host}{found}")


def keep_in_netrc(
    deployment: Deployment, key: ApiKey, env: Mapping[str, str] = os.environ, home: Path | None = None
) -> str:
    """Add a key to the user's netrc file, where `find_api_key` and wandb look; everything else in it stays.

    Args:
        deployment: whose key it is.
        key: to be kept.
        env: `NETRC` is read.
        home: where `.netrc` is; None: the user's home.

    Returns:
        The file as people know it.

    Raises:
        ConfigError: the file cannot be read or written; it is as it was.
    """
    path, shown = _netrc_files(env, Path.home() if home is None else home)[0]
    try:
        target = path.resolve()  # a link stays one
        before = target.read_text(encoding="utf-8") if target.exists() else ""
        gap = "" if not before or before.endswith("\n") else "\n"
        entry = f"machine {deployment.netrc_machines[0]}\n  login user\n  password {key.reveal()}\n"
        write_replace(target, f"{before}{gap}{entry}".encode(), mode=0o600)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{shown} cannot be written: {error}", hint="export WANDB_API_KEY instead") from error
    return shown


def _candidates(
    settings: ServerSettings, deployment: Deployment, env: Mapping[str, str], home: Path, warnings: list[str]
) -> Iterator[tuple[str, str]]:
    """Every place that has something, in order of authority."""
    if settings.api_key and settings.api_key.strip():
        yield settings.api_key, "the configuration file (server.api_key)"
    if folder := env.get("CREDENTIALS_DIRECTORY"):
        text = _read(Path(folder) / _CREDENTIAL_FILE, "the service credential", warnings)
        if text and text.strip():
            yield text, f"the service credential {_CREDENTIAL_FILE}"
    if env.get("WANDB_API_KEY", "").strip():
        yield env["WANDB_API_KEY"], "WANDB_API_KEY"
    for path, shown in _netrc_files(env, home):
        if found := _in_netrc(path, shown, deployment.netrc_machines, warnings):
            yield found


def _netrc_files(env: Mapping[str, str], home: Path) -> list[tuple[Path, str]]:
    if named := env.get("NETRC"):
        return [(Path(named.replace("~", str(home), 1) if named.startswith("~/") else named), "$NETRC")]
    return [(home / ".netrc", "~/.netrc"), (home / "_netrc", "~/_netrc")]


def _in_netrc(path: Path, shown: str, machines: tuple[str, ...], warnings: list[str]) -> tuple[str, str] | None:
    """The password and its source of the first machine that the file has an entry for."""
    if _read(path, shown, warnings) is None:
        return None
    try:
        hosts = netrc.netrc(path).hosts
    except netrc.NetrcParseError as error:
        # The error's own text repeats the token it stumbled over, which may be the key.
        warnings.append(f"{shown} cannot be parsed (line {error.lineno})")
        return None
    except (OSError, ValueError):
        warnings.append(f"{shown} cannot be read")
        return None
    by_name = {name.lower(): entry for name, entry in hosts.items() if name != "default"}
    for machine in machines:
        entry = by_name.get(machine)
        if entry is not None and entry[2] and entry[2].strip():
            return entry[2], f"{shown} ({machine})"
    return None


def _read(path: Path, shown: str, warnings: list[str]) -> str | None:
    """The file's text; None when it is absent, and with a warning when it is there but cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        warnings.append(f"{shown} is not a UTF-8 text")
    except OSError as error:
        warnings.append(f"{shown} cannot be read ({error.strerror or 'input/output error'})")
    return None
