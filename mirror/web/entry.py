"""Who may look: a one-time address, and the cookie that it is traded for.

The address is signed with the gateway's key, so that whoever can read the key can make one: `wandb-mirror open` does.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from urllib.parse import urlencode

from mirror.gateway.http.key import GatewayKey

ENTER = "/-/enter"
PROOF = "/-/proof"
TICKET_S = 600.0  # until a one-time address expires
COOKIE_S = 30 * 86400
_MOST_USED = 10_000  # tickets that are remembered


def cookie_name(key: GatewayKey) -> str:
    """Of this home's gateway alone: browsers send cookies to all ports of a host."""
    return f"wandb_mirror_{hashlib.sha256(_signed(key, 'cookie name').encode()).hexdigest()[:12]}"


def cookie_value(key: GatewayKey) -> str:
    """What the cookie holds; it does not give the key away."""
    return _signed(key, "page")


def entry_path(key: GatewayKey, now: Callable[[], float] = time.time) -> str:
    """Path and query of a new one-time address."""
    nonce, expires = secrets.token_hex(16), f"{now() + TICKET_S:.0f}"
    ticket = f"{nonce}.{expires}.{_signed(key, f'ticket {nonce} {expires}')}"
    return f"{ENTER}?{urlencode({'ticket': ticket})}"


def proof(key: GatewayKey, challenge: str) -> str:
    """What only a gateway of this home answers to a challenge."""
    return _signed(key, f"proof {challenge}")


class Tickets:
    """One-time addresses of one gateway, each good for once. For any thread.

    Args:
        key: that they are signed with.
        now: seconds since the epoch.
    """

    def __init__(self, key: GatewayKey, now: Callable[[], float] = time.time) -> None:
        self._key, self._now = key, now
        self._used: dict[str, float] = {}  # until when each would be good
        self._turn = threading.Lock()

    def admits(self, ticket: str) -> bool:
        """Whether a ticket is good; it is no more afterwards."""
        nonce, _, rest = ticket.partition(".")
        expires, _, signature = rest.partition(".")
        expected = _signed(self._key, f"ticket {nonce} {expires}")
        if not hmac.compare_digest(signature.encode("utf-8", "surrogatepass"), expected.encode()):
            return False
        if not expires.isdigit():
            return False
        now, until = self._now(), float(expires)
        with self._turn:
            if until < now or nonce in self._used:
                return False
            self._used = {one: when for one, when in self._used.items() if when >= now}
            if len(self._used) >= _MOST_USED:
                return False
            self._used[nonce] = until
        return True


def _signed(key: GatewayKey, text: str) -> str:
    return hmac.new(key.signing_secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
