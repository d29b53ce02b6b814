"""A file of the user's becomes an object, before the operation that uploads it exists."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import os
import secrets
from pathlib import Path

import msgspec

from mirror.durable import make_folder
from mirror.store.engine import store_errors
from mirror.store.objects import Objects

_CHUNK = 1 << 20


class TakenIn(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of a file as they were when it was read."""

    object: str  # SHA-256, hex
    size: int  # bytes
    md5: str  # base64, as W&B lists it
    mimetype: str | None


def take_in(objects: Objects, source: str | os.PathLike[str]) -> TakenIn:
    """Copy a file into the objects, durably; memory stays bounded.

    Args:
        objects: of the home.
        source: the file; what happens to it afterwards does not matter.

    Raises:
        OSError: the source cannot be read.
        HomeUnusable: the disk is full or failing; nothing was kept.
    """
    with Path(source).open("rb") as file, store_errors(objects.home):
        make_folder(objects.home.partial)
        copy = objects.home.partial / f"upload-{secrets.token_hex(8)}"
        try:
            sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
            with copy.open("xb") as target:
                while chunk := file.read(_CHUNK):
                    sha256.update(chunk)
                    md5.update(chunk)
                    size += len(chunk)
                    target.write(chunk)
            digest = sha256.hexdigest()
            objects.take(copy, digest)
        finally:
            copy.unlink(missing_ok=True)
    return TakenIn(
        object=digest,
        size=size,
        md5=base64.b64encode(md5.digest()).decode(),
        mimetype=mimetypes.guess_type(Path(source).name)[0],
    )
