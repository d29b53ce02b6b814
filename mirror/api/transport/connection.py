"""Connections: how a client of httpx is set up, and what a failed connection means in words that hold no URL."""

from __future__ import annotations

import importlib.metadata
import os
import ssl
from functools import cache
from pathlib import Path
from typing import Final

import httpx

from mirror.api.transport.deployment import is_loopback
from mirror.config import ServerSettings
from mirror.errors import ConfigError, Unreachable

CONNECT_TIMEOUT_S = 10.0  # at most; a shorter request timeout wins
DEFAULT_POOL: Final = httpx.Limits(max_connections=100, max_keepalive_connections=20)


def http_client(
    settings: ServerSettings,
    base_url: str,
    transport: httpx.AsyncBaseTransport | None,
    *,
    encoding: str = "gzip",
    pool: httpx.Limits = DEFAULT_POOL,
) -> httpx.AsyncClient:
    """A client, with the environment's proxies except on the way to this machine itself.

    Args:
        settings: timeouts.
        base_url: the deployment's; no proxy comes between when it is on this machine.
        transport: replaces the network, for tests.
        encoding: compression that answers may come in.
        pool: how many connections are kept.

    Raises:
        ConfigError: a proxy variable of the environment cannot be used.
    """
    direct = ["localhost", "127.0.0.1", "[::1]"]
    if is_loopback(base_url):
        direct.append(httpx.URL(base_url).netloc.decode("ascii"))
    try:
        return httpx.AsyncClient(
            transport=transport,
            verify=_trust(*map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"))),
            mounts={f"all://{host}": None for host in direct},
            timeout=httpx.Timeout(settings.timeout_s, connect=min(settings.timeout_s, CONNECT_TIMEOUT_S), pool=None),
            limits=pool,
            headers={"User-Agent": f"wandb-mirror/{_version()}", "Accept-Encoding": encoding},
            follow_redirects=False,  # a redirected POST is a login page, and never gets the key
        )
    except (ValueError, ImportError, OSError, httpx.InvalidURL):
        raise ConfigError(
            "a proxy or certificate setting of the environment cannot be used",
            hint="check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE, SSL_CERT_DIR and REQUESTS_CA_BUNDLE",
        ) from None


@cache
def _trust(file: str | None, folder: str | None, bundle: str | None) -> ssl.SSLContext:
    """Whom TLS connections trust, by the environment's settings; reading all certificates takes some 20 ms.

    Without any that is certifi and the system's own, which W&B's SDK trusts. For a private authority W&B's
    documentation names REQUESTS_CA_BUNDLE; httpx reads the others.
    """
    context = httpx.create_ssl_context()
    if bundle and Path(bundle).is_dir():
        context.load_verify_locations(capath=bundle)
    elif bundle:
        context.load_verify_locations(bundle)
    elif not (file or folder):
        context.load_default_certs()
    return context


@cache
def _version() -> str:
    try:
        return importlib.metadata.version("wandb-mirror")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _chain(error: BaseException) -> list[BaseException]:
    """The error and everything it came from, members of groups too."""
    found: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is None or one in found:
            continue
        found.append(one)
        pending += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            pending += one.exceptions
    return found


def tls_error(error: BaseException) -> ssl.SSLError | None:
    """The TLS failure behind a connection error. Trying again does not help against one."""
    tls = [one for one in _chain(error) if isinstance(one, ssl.SSLError)]
    certificate = [one for one in tls if isinstance(one, ssl.SSLCertVerificationError)]
    return next(iter(certificate or tls), None) if isinstance(error, httpx.ConnectError) else None


def not_connected(error: Exception, host: str) -> Unreachable | None:
    """The error where no connection came about, in words that hold no URL; None where there was one."""
    if (tls := tls_error(error)) is not None:
        return Unreachable(f"no secure connection to {host}: {_tls_reason(tls)}")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        return Unreachable(f"cannot connect to {host}: {_connect_reason(error)}")
    return None


def _tls_reason(error: ssl.SSLError) -> str:
    """The reason of a TLS failure, in OpenSSL's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message or "the certificate cannot be verified"
    return (error.reason or "the server does not speak TLS").replace("_", " ").lower()


def _connect_reason(error: BaseException) -> str:
    """Why no connection came about."""
    chain = _chain(error)
    if any(type(one).__name__ == "gaierror" for one in chain):
        return "the host name is not known"
    if any(isinstance(one, ConnectionRefusedError) for one in chain):
        return "connection refused"
    if isinstance(error, httpx.ConnectTimeout):
        return "no answer to the connection attempt"
    return "the proxy does not let it through" if isinstance(error, httpx.ProxyError) else "connection failed"
