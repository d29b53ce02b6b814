"""Artifacts: versions, who logged or used them, and the entries of a manifest.

W&B API notes, section 8. A **sequence** is the collection that a version was made in; its name and project are the
version's own name. A **ref** is what a run's listing says of a version, a **record** is all of it.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
import xxhash

from mirror.texts.values import dump_strict, parse_lenient
from mirror.typed import convert, decode

COMMITTED = "COMMITTED"  # the one state of a version that can be read; PENDING and DELETED cannot
DELETED = "DELETED"
LOCAL = "offline:"  # how the id of a version begins that no server knows yet
MANIFEST_MD5 = "MANIFEST_MD5"
MANIFEST_XXH128 = "MANIFEST_XXH128"
_DIGEST_HEAD = b"wandb-artifact-manifest-v1\n"
_INT64_MAX = 2**63 - 1


class _Hasher(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class ArtifactRef(msgspec.Struct, frozen=True, kw_only=True):
    """A version as a run's list of artifacts shows it: enough to see whether it is held and whether it moved."""

    artifact_id: str  # W&B's `id`, opaque
    entity: str | None  # of the sequence; None when its project is gone
    project: str | None  # of the sequence; None when its project is gone
    sequence: str  # name of the sequence
    type: str  # name of the artifact type, such as "model"
    version_index: int | None  # N of the version vN
    digest: str  # hex, over the whole manifest
    aliases: tuple[str, ...]  # names in the sequence that point to this version now; they move
    updated_at_text: str | None
    untold: frozenset[str] = frozenset()  # fields that the server did not tell this time

    @property
    def name(self) -> str:
        """`sequence:vN`."""
        return f"{self.sequence}:v{self.version_index}"


class ArtifactRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an artifact, whole but for its manifest."""

    artifact_id: str  # W&B's `id`, opaque
    entity: str | None  # of the sequence; None when its project is gone
    project: str | None  # of the sequence; None when its project is gone
    sequence: str  # name of the sequence
    type: str  # name of the artifact type
    version_index: int | None  # N of the version vN; None while pending
    state: str  # COMMITTED, PENDING or DELETED
    digest: str  # hex, over the whole manifest
    digest_algorithm: str | None  # MANIFEST_MD5 or MANIFEST_XXH128; None on a server too old to tell: MD5
    aliases: tuple[str, ...]  # names in the sequence that point to this version now; they move
    tags: tuple[str, ...]
    metadata_text: str | None  # exact wire text, JSON
    description: str | None
    size: int | None  # bytes of all its files
    file_count: int | None
    commit_hash: str | None
    history_step: int | None  # step of the run when it was logged
    created_at: dt.datetime | None  # UTC
    created_at_text: str | None
    updated_at: dt.datetime | None  # UTC
    updated_at_text: str | None
    untold: frozenset[str] = frozenset()  # fields that the server did not tell this time: what is held of them stays
    flaw: str | None = None  # why it could not tell one that it was asked for, in its words

    @property
    def name(self) -> str:
        """`sequence:vN`."""
        return f"{self.sequence}:v{self.version_index}"


def record_of(ref: ArtifactRef) -> ArtifactRecord:
    """A version as far as the list of a run tells of it."""
    return ArtifactRecord(
        artifact_id=ref.artifact_id, entity=ref.entity, project=ref.project, sequence=ref.sequence, type=ref.type,
        version_index=ref.version_index, state=COMMITTED, digest=ref.digest, digest_algorithm=None,
        aliases=ref.aliases, tags=(), metadata_text=None, description=None, size=None, file_count=None,
        commit_hash=None, history_step=None, created_at=None, created_at_text=None, updated_at=None,
        updated_at_text=ref.updated_at_text,
        untold=ref.untold | _NOT_LISTED,
    )  # fmt: skip


def deleted_version(artifact_id: str) -> ArtifactRecord:
    """A version that is held and no longer upstream: no alias names it any more, and all else stays as it is held."""
    return ArtifactRecord(
        artifact_id=artifact_id, entity=None, project=None, sequence="", type="", version_index=None, state=DELETED,
        digest="", digest_algorithm=None, aliases=(), tags=(), metadata_text=None, description=None, size=None,
        file_count=None, commit_hash=None, history_step=None, created_at=None, created_at_text=None, updated_at=None,
        updated_at_text=None,
        untold=frozenset(ArtifactRecord.__struct_fields__) - {"artifact_id", "state", "aliases", "untold", "flaw"},
    )  # fmt: skip


# What the list of a run does not tell of a version.
_NOT_LISTED = frozenset(ArtifactRecord.__struct_fields__) - frozenset(ArtifactRef.__struct_fields__) - {"state", "flaw"}


class ManifestEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a version."""

    path: str  # untrusted: it never becomes a path on this machine unchecked
    digest: str  # base64 of the MD5 (or XXH128, see `algorithm`); an ETag or the address itself for a reference
    size: int | None  # bytes
    ref: str | None  # address of a file that W&B does not hold
    birth_artifact_id: str | None  # the version that first held these bytes
    extra: str | None  # strict JSON text of whatever else the client noted

    @property
    def extras(self) -> dict[str, str]:
        """What else the client noted, each as a JSON text."""
        noted = parse_lenient(self.extra)
        return {key: dump_strict(value) for key, value in noted.items()} if isinstance(noted, dict) else {}

    @property
    def algorithm(self) -> str:
        """What the digest of these bytes is made with: "md5", or what `extra.alg` says, in lower case."""
        noted = parse_lenient(self.extra)
        named = noted.get("alg") if isinstance(noted, dict) else None
        return named.lower() if isinstance(named, str) and named else "md5"

    @property
    def md5_hex(self) -> str | None:
        """The MD5 that the bytes must have, in hex; None for references and other digests."""
        return self._hex_of("md5")

    @property
    def xxh128_hex(self) -> str | None:
        """The XXH128 that the bytes must have, in hex; None for references and other digests."""
        return self._hex_of("xxh128")

    def _hex_of(self, algorithm: str) -> str | None:
        if self.ref is not None or self.algorithm != algorithm:
            return None
        try:
            digest = base64.b64decode(self.digest, validate=True)
        except (binascii.Error, ValueError):
            return None
        return digest.hex() if len(digest) == 16 else None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The list of a version's files."""

    version: int
    storage_policy: str | None
    storage_layout: str | None  # V1 or V2: which path serves a file by its digest
    storage_region: str | None
    entries: tuple[ManifestEntry, ...]  # in the order of the file


class _WireEntry(msgspec.Struct, rename={"birth_artifact_id": "birthArtifactID"}):
    digest: str
    size: int | float | str | None = None
    ref: str | None = None
    birth_artifact_id: str | None = None
    extra: dict[str, Any] | None = None


class _PolicyConfig(msgspec.Struct, rename="camel"):
    storage_layout: str | None = None
    storage_region: str | None = None


class _WireManifest(msgspec.Struct, rename="camel"):
    contents: dict[str, _WireEntry]
    version: int = 1
    storage_policy: str | None = None
    storage_policy_config: _PolicyConfig | None = None


def parse_manifest(body: bytes) -> Manifest:
    """The manifest in the bytes of `wandb_manifest.json`.

    Raises:
        ValueError: it is no manifest; one line says why.
    """
    try:
        wire = decode(body, _WireManifest)
    except (msgspec.DecodeError, RecursionError):
        wire = _lenient(body)
    config = wire.storage_policy_config or _PolicyConfig()
    return Manifest(
        version=wire.version,
        storage_policy=wire.storage_policy,
        storage_layout=config.storage_layout,
        storage_region=config.storage_region,
        entries=tuple(_entry(path, entry) for path, entry in wire.contents.items()),
    )


def manifest_digest(entries: Iterable[ManifestEntry], algorithm: str | None) -> str | None:
    """The digest that a version with these entries has, in hex.

    Args:
        entries: all entries of the manifest, in any order.
        algorithm: `ArtifactRecord.digest_algorithm`.

    Returns:
        The digest, or None for an algorithm that is not known here: unverifiable, not wrong.
    """
    digest: _Hasher
    if algorithm in {None, MANIFEST_MD5}:
        digest = hashlib.md5(_DIGEST_HEAD, usedforsecurity=False)
    elif algorithm == MANIFEST_XXH128:
        digest = xxhash.xxh128(_DIGEST_HEAD)
    else:
        return None
    for path, entry_digest in sorted((entry.path, entry.digest) for entry in entries):
        digest.update(f"{path}:{entry_digest}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()


def _lenient(body: bytes) -> _WireManifest:
    """What the strict decoder refuses: bare NaN in `extra`, control characters in a path."""
    try:
        return convert(json.loads(body, strict=False), _WireManifest)
    except RecursionError:
        raise ValueError("the manifest is nested too deeply") from None


def _entry(path: str, wire: _WireEntry) -> ManifestEntry:
    size = None if wire.size is None else float(wire.size)
    if size is not None and not 0 <= size <= _INT64_MAX:
        raise ValueError("a size in the manifest is not a number of bytes")
    return ManifestEntry(
        path=path,
        digest=wire.digest,
        size=None if wire.size is None else int(wire.size),
        ref=wire.ref,
        birth_artifact_id=wire.birth_artifact_id,
        extra=None if wire.extra is None else dump_strict(wire.extra),
    )
