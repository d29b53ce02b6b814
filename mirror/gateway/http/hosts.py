"""Whose pages and scripts may ask, by `Host` and `Origin`: no web page reads the mirror by rebinding DNS."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit


def own_names() -> frozenset[str]:
    """Names of this machine; an address in numbers needs none, for nobody rebinds it."""
    return frozenset({"localhost", socket.gethostname().lower(), socket.getfqdn().lower()})


def is_own(host: str | None, names: frozenset[str]) -> bool:
    """Whether a request's `Host` is this machine, under a name that nobody else can give to it.

    Args:
        host: `NAME`, `NAME:PORT` or `[ADDRESS]:PORT`. The port is free: behind a tunnel it is another one.
        names: see `own_names`.
    """
    try:
        name = urlsplit(f"//{host or ''}").hostname
    except ValueError:
        return False
    if not name:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in names
    return True


def is_own_origin(origin: str | None, host: str | None) -> bool:
    """Whether a request comes from no web page, or from one that the gateway itself would have served."""
    try:
        return origin is None or urlsplit(origin).netloc == host
    except ValueError:
        return False
