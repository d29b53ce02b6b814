"""The settings of the gateway: where it listens, and whether it takes changes. A part of `config`."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

DEFAULT_LISTEN = "127.0.0.1:8600"


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """W&B's own API, answered by the mirror."""

    # HOST:PORT where `daemon` serves, too, and `serve` by itself; empty: `daemon` does not, `serve` at DEFAULT_LISTEN.
    # Another host than loopback lets other machines ask, who have the key.
    listen: str = ""
    read_only: bool = False  # refuse every change, which is queued otherwise
    # The largest file that may be uploaded through it.
    upload_max_mb: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000

    def __post_init__(self) -> None:
        """Check the address."""
        if self.listen:
            listen_address(self.listen)


def listen_address(text: str) -> tuple[str, int]:
    """The host and the port of `HOST:PORT` or `[ADDRESS]:PORT`; port 0 takes a free one.

    Raises:
        ValueError: with a sentence that names the form.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not host.isprintable() or " " in host or not (port.isascii() and port.isdecimal()):
        raise ValueError(f"listen is HOST:PORT, such as {DEFAULT_LISTEN}; got {text!r}")
    if int(port) >= 65536:
        raise ValueError(f"a port is below 65536; got {text!r}")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
