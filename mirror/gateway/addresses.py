"""Signed addresses of bytes on the gateway itself: whoever holds one reads one object until it expires, without a key.

The bytes are named by their digest, so that nothing a user named stands in a path, and an address never comes to mean
other bytes. What is listed and not held has an address, too: it answers with why, and what would fetch it.
"""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass
from urllib.parse import quote

from mirror.records.addresses import RunPath
from mirror.wandb_protocol.signing import Signer

ROOT = "/files/signed/"
TTL_S = 3600.0
_HELD = re.compile(r"object/([0-9a-f]{64})/.*", re.DOTALL)
_LACKING = re.compile(r"lacking/([A-Za-z0-9_-]+=*)", re.DOTALL)
_UPLOAD = re.compile(r"upload/([A-Za-z0-9_-]+=*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Held:
    """An address of bytes that are here."""

    digest: str


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """An address of bytes that are not."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Upload:
    """An address to which the bytes of a run's file are put."""

    run: RunPath
    name: str
    version: str | None = None  # id of the version of an artifact whose file it is; None: of the run itself


def signer(secret: bytes, ttl_s: float = TTL_S) -> Signer:
    """Signs the addresses of one gateway."""
    return Signer(secret=secret, ttl_s=ttl_s, now=time.time)


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Makes addresses for one request.

    Attributes:
        base_url: as the client reaches the gateway: behind a tunnel it has another port.
    """

    base_url: str
    signer: Signer

    def of_object(self, digest: str, name: str) -> str:
        """Of held bytes; the last part of the file's name goes along for those who guess a type by it."""
        return self._signed(f"object/{digest}/{_last_part(name)}")

    def of_lacking(self, reason: str) -> str:
        """Of bytes that are not held."""
        return self._signed(f"lacking/{base64.urlsafe_b64encode(reason.encode('utf-8', 'replace')).decode()}")

    def of_upload(self, run: RunPath, name: str, version: str | None = None) -> str:
        """To put the bytes of a file to, of a run or of a version that it logs; it reads nothing."""
        text = json.dumps([*run, name, version]).encode()
        return self._signed(f"upload/{base64.urlsafe_b64encode(text).decode()}", write=True)

    def _signed(self, path: str, *, write: bool = False) -> str:
        return f"{self.base_url}{ROOT}{quote(path, safe='/=')}?{self.signer.query(path, write=write)}"


def upload_of(path: str) -> Upload | None:
    """What is put to a path below `ROOT`; None where nothing is. Its signature is not looked at."""
    if (found := _UPLOAD.fullmatch(path)) is None:
        return None
    try:
        entity, project, run_id, name, version = json.loads(base64.urlsafe_b64decode(found[1]))
    except ValueError:
        return None
    return Upload(run=RunPath(entity, project, run_id), name=name, version=version)


def target_of(path: str) -> Held | Lacking | None:
    """What a path below `ROOT` leads to; None for one that was never handed out. Its signature is not looked at."""
    if (held := _HELD.fullmatch(path)) is not None:
        return Held(digest=held[1])
    if (lacking := _LACKING.fullmatch(path)) is not None:
        try:
            return Lacking(reason=base64.urlsafe_b64decode(lacking[1]).decode("utf-8", "replace"))
        except ValueError:
            return None
    return None


def _last_part(name: str) -> str:
    """The end of a slash path as plain ASCII, for it must survive every client's idea of an address."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]", "_", last)[-100:].lstrip(".") or "file"
