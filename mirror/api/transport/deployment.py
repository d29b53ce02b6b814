"""What a deployment is: one W&B server under all its names, and which addresses may see the API key.

Data is stored by deployment, never by host string: the SaaS has been reached under three base URLs over the years.
"""

from __future__ import annotations

import functools
import ipaddress

import httpx
import msgspec

from mirror.errors import ConfigError

SAAS_ID = "wandb.ai"
# W&B API notes, section 1: these are one deployment.
SAAS_BASE_URLS = (
    "https://api.wandb.ai",
    "https://api.forge.coreweave.com",
    "https://forge.coreweave.com/api/wandb",
)
_SAAS_APP_URLS = {"https://api.wandb.ai": "https://wandb.ai"}
_SAAS_APP_URL = "https://forge.coreweave.com/wandb"
_SAAS_WEB_HOSTS = frozenset({"wandb.ai", "www.wandb.ai", "app.wandb.ai"})  # pages for people, no API behind them
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One W&B server. Built by `deployment_of`."""

    id: str  # canonical name that stored data is keyed by, for example "wandb.ai" or "wandb.example.com:8443"
    base_url: str  # the address that requests go to, without a trailing slash
    base_urls: tuple[str, ...]  # every address of this server, `base_url` first
    app_url: str  # the address of the pages that people see

    @property
    def host(self) -> str:
        """Host of the base URL, with its port when it is not the usual one: what messages name."""
        return _netloc(_parsed(self.base_url))

    @property
    def names(self) -> frozenset[str]:
        """Every id this server may have been stored under: a home made under an alias is still this deployment."""
        return frozenset({self.id, *map(_name, self.base_urls)})

    @property
    def netrc_machines(self) -> tuple[str, ...]:
        """Machine names to look up in netrc: each host with its port first, then without it."""
        urls = [httpx.URL(url) for url in self.base_urls]
        exact = [_netloc(url) for url in urls]
        bare = [_bracketed(url.host) for url in urls] + [url.host for url in urls]
        return tuple(dict.fromkeys(exact + bare))

    def is_base_url(self, url: str | httpx.URL) -> bool:
        """Whether `url` has the base URL's scheme, host, port and path prefix, and so may get the API key.

        The other names of the deployment do not count: the key goes to the configured host alone. Whatever could
        mean another place to another parser is answered no. W&B API notes, section 1.
        """
        try:
            asked = httpx.URL(url)
        except (httpx.InvalidURL, TypeError, ValueError):
            return False
        base = _parsed(self.base_url)
        if asked.userinfo or "\\" in str(url) or _climbs(asked):
            return False
        if (asked.scheme, asked.host, _port(asked)) != (base.scheme, base.host, _port(base)):
            return False
        prefix = base.path.rstrip("/")
        return asked.path == prefix or asked.path.startswith(prefix + "/")


@functools.lru_cache(maxsize=8)
def _parsed(base_url: str) -> httpx.URL:
    """Parsed once: it is compared with the address of every file."""
    return httpx.URL(base_url)


def deployment_of(base_url: str, aliases: tuple[str, ...] = ()) -> Deployment:
    """The deployment behind a base URL.

    Args:
        base_url: where requests go, for example "https://api.wandb.ai".
        aliases: other base URLs of the same server.

    Raises:
        ConfigError: an address is not an HTTP base URL, or would send the key to W&B unencrypted.
    """
    base = normal_base_url(base_url)
    others = tuple(normal_base_url(alias) for alias in aliases)
    named = (base, *others)
    if not any(url in SAAS_BASE_URLS for url in named):
        return Deployment(id=_name(base), base_url=base, base_urls=tuple(dict.fromkeys(named)), app_url=base)
    return Deployment(
        id=SAAS_ID,
        base_url=base,
        base_urls=tuple(dict.fromkeys((*named, *SAAS_BASE_URLS))),
        app_url=_SAAS_APP_URLS.get(base, _SAAS_APP_URL),
    )


def normal_base_url(text: str) -> str:
    """`text` with scheme and host in lower case, without default port and trailing slash.

    Raises:
        ConfigError: it is not an HTTP base URL. The message never repeats user name, password or query.
    """
    hint = 'give scheme and host, for example "https://api.wandb.ai" or "http://localhost:8080"'
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, ValueError):
        raise ConfigError("the base URL of the W&B server cannot be read as a URL", hint=hint) from None
    if url.scheme not in _DEFAULT_PORTS or not url.host:
        raise ConfigError("the base URL of the W&B server must start with http:// or https:// and a host", hint=hint)
    if url.userinfo:
        raise ConfigError(
            f"the base URL of the W&B server ({_netloc(url)}) must not hold a user name or password",
            hint="the API key belongs into WANDB_API_KEY or ~/.netrc",
        )
    if url.query or url.fragment or "?" in text or "#" in text:
        raise ConfigError(
            f"the base URL of the W&B server ({_netloc(url)}) must not hold a query or fragment", hint=hint
        )
    if "\\" in text or any(character.isspace() for character in text.strip()) or _climbs(url) or "//" in url.path:
        raise ConfigError(f"the base URL of the W&B server ({_netloc(url)}) has a path that no server has", hint=hint)
    _check_saas(url)
    return f"{url.scheme}://{_netloc(url)}{url.raw_path.decode('ascii').rstrip('/')}"


def is_loopback(url: str) -> bool:
    """Whether `url` stays on this machine, so that no proxy may come between."""
    host = httpx.URL(url).host
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_saas(url: httpx.URL) -> None:
    hosts = {httpx.URL(saas).host for saas in SAAS_BASE_URLS}
    if url.host in _SAAS_WEB_HOSTS:
        raise ConfigError(f"{url.host} is the web site of W&B and not its API", hint='use "https://api.wandb.ai"')
    if url.host in hosts and url.scheme == "http":
        raise ConfigError(f"http://{url.host} would send the API key unencrypted", hint=f'use "https://{url.host}"')


def _name(base_url: str) -> str:
    """The id of a server that is not the SaaS: its base URL without the scheme."""
    return SAAS_ID if base_url in SAAS_BASE_URLS else base_url.partition("://")[2]


def _port(url: httpx.URL) -> int | None:
    return url.port or _DEFAULT_PORTS.get(url.scheme)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _netloc(url: httpx.URL) -> str:
    host = _bracketed(url.host)
    return host if url.port in (None, _DEFAULT_PORTS.get(url.scheme)) else f"{host}:{url.port}"


def _climbs(url: httpx.URL) -> bool:
    """Whether a path segment is `.` or `..`, plain or escaped: servers differ on what that addresses."""
    return any(segment in {".", ".."} for segment in url.path.split("/"))
