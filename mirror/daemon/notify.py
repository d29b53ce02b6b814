"""The protocol of `sd_notify(3)`: datagrams to the service manager's socket."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

FREQUENT = {"WATCHDOG", "STATUS"}  # said again soon; one that finds no room is no loss
PATIENCE_S = 1.0  # for the others, when the manager is behind


class Notifier:
    """Tells the service manager how the process is; says nothing where there is none.

    Args:
        env: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` are read; `@` begins an abstract address.
    """

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _watchdog_s(env)  # None: the service manager does not watch

    def tell(self, **fields: str | int) -> None:
        """Send fields, such as `READY=1`. Nobody listening is not our trouble: the daemon goes on."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        lines = [f"{name}={value}".replace("\n", " ") for name, value in fields.items()]
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0.0 if fields.keys() <= FREQUENT else PATIENCE_S)
            sender.sendto("\n".join(lines).encode(), self._address)

    def reloading(self) -> None:
        """A reload begins; `READY=1` ends it. The time lets the manager tell this reload from an older one."""
        self.tell(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)


def _watchdog_s(env: Mapping[str, str]) -> float | None:
    """Within how many seconds the service manager wants to hear `WATCHDOG=1`, if it watches this very process."""
    usec = env.get("WATCHDOG_USEC", "")
    if not usec.isdecimal() or int(usec) == 0 or env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(usec) / 1e6
