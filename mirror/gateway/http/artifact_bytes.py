"""Bytes of artifact files by the digest in their manifest: what the SDK makes addresses of itself.

Below `/artifacts/` stands `{entity}/{hex}`, below `/artifactsV2/` `{region}/{entity}/{project}/{collection}[/{artifact
id}]/{id}/{hex}/{name}` (W&B API notes, section 8). They ask for the key, as on the server.
"""

from __future__ import annotations

import base64
import binascii

from mirror.errors import NotMirrored
from mirror.gateway.artifacts import version_by_id
from mirror.gateway.context import RequestContext
from mirror.run.artifacts.manifest import content_of
from mirror.store.read.artifacts import held_bytes, read_entries
from mirror.texts.typed_paths import in_shell

_PARTS = (7, 8)  # of a path of the second layout, without and with the version's id


def object_of(ctx: RequestContext, path: str) -> str:
    """The object that holds the bytes of a path below `/artifacts/` or `/artifactsV2/`.

    Raises:
        NotMirrored: it is not held, or the path is none of these.
    """
    parts = path.split("/")
    digest = _digest(parts[1] if len(parts) == 2 else parts[-2] if len(parts) in _PARTS else "")
    if digest is None:
        raise NotMirrored(f"no artifact file has the address {path!r}")
    found = ctx.recall(("bytes of", digest), lambda lake: held_bytes(lake, [digest]).get(digest))
    if found is not None:
        return found
    if len(parts) == _PARTS[-1]:
        version = version_by_id(ctx, parts[4])
        for row in read_entries(ctx.lake, version.row.artifact_id):
            if row.digest == digest:
                return content_of(version.facts, row).held()
    source = f" --source {in_shell(parts[1], parts[2])}" if len(parts) in _PARTS else ""
    raise NotMirrored(
        f"the bytes of {parts[-1]!r} are not in this mirror", hint=f"`wandb-mirror pull{source}` tries to fetch them"
    )


def _digest(text: str) -> str | None:
    """A manifest's spelling of a hexadecimal digest."""
    try:
        return base64.b64encode(binascii.unhexlify(text)).decode() if text else None
    except ValueError:
        return None
