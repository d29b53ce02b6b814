"""The bucket: bytes by key, behind signed URLs that expire, on another host name than the API.

Keys are made by the sandbox from plain ASCII, so that nothing a user named ends up in a path.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from mirror.wandb_protocol.ranges import byte_range
from mirror.wandb_protocol.signing import Signer, xml_error


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole HTTP answer, in memory, so that faults can wrap it."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    run_names: frozenset[str] = frozenset()  # runs that the answer shows, for faults that pick on one
    fault_labels: tuple[str, ...] = ()  # faults that showed inside it


class Bucket:
    """Objects by key. A value may be a function, called at the first read, so that exports cost nothing unread."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes | Callable[[], bytes]] = {}
        self._lock = threading.RLock()

    def put(self, key: str, body: bytes | Callable[[], bytes]) -> None:
        with self._lock:
            self._objects[key] = body

    def get(self, key: str) -> bytes | None:
        with self._lock:
            body = self._objects.get(key)
            if callable(body):
                body = body()
                self._objects[key] = body
            return body

    def remove(self, key: str) -> None:
        with self._lock:
            self._objects.pop(key, None)


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Makes signed URLs of the bucket, and checks them."""

    signer: Signer
    origin: str  # scheme, host and port of the storage

    def url(self, key: str, *, write: bool = False) -> str:
        """A URL that reads (GET, HEAD) or writes (PUT) `key` until it expires."""
        return f"{self.origin}/storage/{key}?{self.signer.query(key, write=write)}"

    def refusal(self, key: str, query: str, *, write: bool) -> str | None:
        """Why a request may not pass (an S3 error code), or None when it may."""
        return self.signer.refusal(key, query, write=write)


def xml_answer(status: int, code: str) -> Answer:
    """An error in the style of S3 and GCS."""
    return Answer(status=status, body=xml_error(code), headers={"content-type": "application/xml"})


def read_object(bucket: Bucket, key: str, range_header: str | None, if_range: str | None) -> Answer:
    """The bytes of `key`, or the one range asked for (206; 416 when it lies outside)."""
    body = bucket.get(key)
    if body is None:
        return xml_answer(404, "NoSuchKey")
    etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    headers = {"accept-ranges": "bytes", "etag": etag, "content-type": "application/octet-stream"}
    asked = byte_range(range_header, len(body))
    if asked is None or (if_range is not None and if_range != etag):
        return Answer(status=200, body=body, headers=headers)
    start, stop = asked
    if start >= stop:
        return Answer(status=416, headers=headers | {"content-range": f"bytes */{len(body)}"})
    headers["content-range"] = f"bytes {start}-{stop - 1}/{len(body)}"
    return Answer(status=206, body=body[start:stop], headers=headers)


def md5_base64(body: bytes) -> str:
    """Base64 of the MD5 digest, the spelling of `File.md5`."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def guess_mimetype(name: str) -> str:
    """A MIME type by the name's ending; W&B sends "" when it knows none."""
    return mimetypes.guess_type(name)[0] or ""
