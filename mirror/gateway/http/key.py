"""The key of a home's gateway, made by its first start: whoever has it reads the mirror through the gateway."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import shlex
import stat

from mirror.durable import write_replace
from mirror.errors import HomeUnusable
from mirror.layout import Home
from mirror.locks import locked
from mirror.private import OTHERS

# What every SDK takes: W&B's own keys are 40 hexadecimal digits, and older SDKs count them.
_BYTES = 20
_KEY = re.compile(r"[0-9a-f]{40}")


class GatewayKey:
    """A key, and what follows from it.

    Args:
        text: the 40 digits.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def admits(self, given: str) -> bool:
        """Whether this is the key, in a time that tells nothing of it."""
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self.text.encode())

    @property
    def signing_secret(self) -> bytes:
        """What addresses are signed with: they outlive a restart, and do not give the key away."""
        return hmac.new(self.text.encode(), b"signed addresses", hashlib.sha256).digest()

    def __repr__(self) -> str:
        """Without the key."""
        return "GatewayKey(…)"


def fresh_key() -> GatewayKey:
    """A key that nobody has had, for one process and what it starts."""
    return GatewayKey(secrets.token_hex(_BYTES))


def key_of(home: Home) -> GatewayKey:
    """The key of a home; one for this process alone, where the home is somebody else's or cannot be written.

    Raises:
        HomeUnusable: the file holds no key, or others may read it.
    """
    held = _held(home)
    if held is not None:
        return held
    made = fresh_key()
    try:
        with locked(home.gateway_lock):
            held = _held(home)
            if held is None:  # no other gateway was first
                write_replace(home.gateway_key, f"{made.text}\n".encode())
    except OSError:  # a copied home that cannot be written
        return made
    return held or made


def _held(home: Home) -> GatewayKey | None:
    """The key in the file, a fresh one where that is another user's; None where there is none."""
    path = home.gateway_key
    try:
        at, text = path.stat(), path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    except PermissionError:
        return fresh_key()
    except OSError as error:
        raise HomeUnusable(f"{path} cannot be read: {error.strerror}", hint="it holds the gateway's key") from error
    if os.name != "nt":
        if os.geteuid() not in (0, at.st_uid):  # a shared copy, whose maker knows the key
            return fresh_key()
        if stat.S_IMODE(at.st_mode) & OTHERS:
            raise HomeUnusable(
                f"{path} can be read by others", hint=f"chmod 600 {shlex.quote(str(path))}, or remove it for a new key"
            )
    if not _KEY.fullmatch(text):
        raise HomeUnusable(f"{path} holds no key of the gateway", hint="remove it; the next start makes a new one")
    return GatewayKey(text)
