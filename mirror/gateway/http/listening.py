"""A socket that listens before the gateway behind it is there: who connects meanwhile waits, and is not refused."""

from __future__ import annotations

import socket

from mirror.errors import ConfigError

_BACKLOG = 512


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: a name or an address.
        port: 0 takes a free one.

    Raises:
        ConfigError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio knows it for TCP and sends an answer's head and body without waiting 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"the gateway cannot listen on {host}:{port}: {error.strerror}",
            hint="choose another with --listen, or `[serve] listen` in the configuration",
        ) from error
    return listening
