"""Artifacts in the state: collections, versions, aliases, and bytes kept once by digest."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import xxhash

from mirror.sandbox.state.core import CoreState
from mirror.sandbox.state.records import (
    ArtifactRecord,
    CollectionKind,
    CollectionRecord,
    MembershipRecord,
    ProjectRecord,
    RunRecord,
    UserRecord,
)
from mirror.sandbox.storage import md5_base64
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.wire import number_id, spell, typed_id

STORAGE_POLICY = "wandb-storage-policy-v1"
CONTENT_PREFIX = "wandb_artifacts/"
"""Where a server keeps the bytes of artifacts: the beginning of File.storagePath."""


def content_key(digest: str) -> str:
    """Key of an artifact file's bytes: hex of its base64 digest, so that equal bytes are stored once."""
    try:
        name = base64.b64decode(digest, validate=True).hex()
    except ValueError:
        name = hashlib.sha256(digest.encode()).hexdigest()
    return f"{CONTENT_PREFIX}{name}"


def manifest_digest(contents: Mapping[str, Mapping[str, Any]], digest_algorithm: str = "MANIFEST_MD5") -> str:
    """`Artifact.digest` of a manifest (W&B API notes, section 8)."""
    text = "wandb-artifact-manifest-v1\n" + "".join(f"{path}:{contents[path]['digest']}\n" for path in sorted(contents))
    if digest_algorithm == "MANIFEST_XXH128":
        return xxhash.xxh128_hexdigest(text.encode())
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def manifest_entry(body: bytes, digest_algorithm: str) -> dict[str, Any]:
    """The entry of a file as the SDK writes it: only a digest that is no MD5 is named."""
    if digest_algorithm == "MANIFEST_XXH128":
        digest = base64.b64encode(xxhash.xxh128_digest(body)).decode()
        return {"digest": digest, "size": len(body), "extra": {"alg": "XXH128"}}
    return {"digest": md5_base64(body), "size": len(body)}


class ArtifactShelf(CoreState):
    """The artifact part of SandboxState."""

    def add_artifact(
        self,
        entity: str,
        project: str,
        collection: str,
        *,
        type: str = "dataset",  # noqa: A002 -- W&B's own name
        files: Mapping[str, bytes] | None = None,
        references: Mapping[str, str] | None = None,
        aliases: Iterable[str] = (),
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        description: str | None = None,
        run: str | RunRecord | None = None,
        state: str = "COMMITTED",
        digest_algorithm: str = "MANIFEST_MD5",
    ) -> ArtifactRecord:
        """A version of `collection`, committed unless `state` says otherwise; the alias `latest` moves to it.

        Args:
            files: Contents by path inside the artifact.
            references: External URLs by path; the sandbox has no bytes for them.
            run: The run that logged it (its id, or its record).
            digest_algorithm: Of the manifest and its files, MANIFEST_MD5 or MANIFEST_XXH128.
        """
        with self.lock:
            owner = self.add_project(entity, project)
            creator = owner.runs[run] if isinstance(run, str) else run
            contents: dict[str, dict[str, Any]] = {}
            for path, body in (files or {}).items():
                contents[path] = manifest_entry(body, digest_algorithm)
                self.bucket.put(content_key(contents[path]["digest"]), body)
            for path, url in (references or {}).items():
                contents[path] = {"digest": url, "ref": url}
            artifact = self.new_artifact(
                self.collection(owner, collection, type),
                digest=manifest_digest(contents, digest_algorithm),
                digest_algorithm=digest_algorithm,
                creator=creator or self.default_user(),
            )
            artifact.description, artifact.tags, artifact.wanted_aliases = description, list(tags), list(aliases)
            artifact.metadata = spell(dict(metadata or {}))
            for path in contents:
                contents[path]["birthArtifactID"] = artifact.id
            manifest = {
                "version": 1,
                "storagePolicy": STORAGE_POLICY,
                "storagePolicyConfig": {"storageLayout": "V2"},
                "contents": contents,
            }
            self.begin_manifest(artifact, digest="")
            self.bucket.put(str(artifact.manifest_key), json.dumps(manifest).encode())
            self.commit_artifact(artifact)
            artifact.state = state
            return artifact

    def collection(
        self, project: ProjectRecord, name: str, type_name: str, kind: CollectionKind = "SEQUENCE"
    ) -> CollectionRecord:
        """The collection of that name, made when it is missing.

        Raises:
            RequestRefused: it exists with another type, or as the other kind.
        """
        held = project.collections.get(name)
        if held is not None:
            if held.type_name != type_name:
                raise RequestRefused(f"artifact collection {name} already has type {held.type_name}", status=409)
            if held.kind != kind:
                raise RequestRefused(f"artifact collection {name} is a {held.kind.lower()}", status=409)
            return held
        if project.allowed_types is not None and type_name not in project.allowed_types:
            raise RequestRefused(f"artifact type {type_name} is not allowed in {project.name}", status=400)
        project.artifact_types.setdefault(type_name, self.now_text())
        made = CollectionRecord(
            id=typed_id("ArtifactCollection", self.number()),
            name=name,
            project=project,
            type_name=type_name,
            created_at=self.now_text(),
            kind=kind,
        )
        project.collections[name] = made
        self.collections_by_id[made.id] = made
        return made

    def new_artifact(
        self,
        collection: CollectionRecord,
        *,
        digest: str,
        digest_algorithm: str,
        creator: RunRecord | UserRecord | None,
    ) -> ArtifactRecord:
        """A pending version."""
        number = self.number()
        artifact = ArtifactRecord(
            id=number_id("Artifact", number),
            number=number,
            collection=collection,
            digest=digest,
            digest_algorithm=digest_algorithm,
            created_at=self.now_text(),
            creator=creator,
        )
        self.artifacts_by_id[artifact.id] = artifact
        return artifact

    def begin_manifest(self, artifact: ArtifactRecord, *, digest: str) -> None:
        """Give the artifact a manifest to upload; a second call keeps the id and takes the digest."""
        if artifact.manifest_id is None:
            number = self.number()
            artifact.manifest_id = typed_id("ArtifactManifest", number)
            artifact.manifest_key = f"manifests/{number}/wandb_manifest.json"
            self.manifests_by_id[artifact.manifest_id] = artifact
        artifact.manifest_digest = digest

    def commit_artifact(self, artifact: ArtifactRecord) -> None:
        """Number the version, move its aliases and `latest`, and list it under its run. Repeating changes nothing.

        Raises:
            RequestRefused: the manifest was not uploaded, or does not parse.
        """
        if artifact.state == "COMMITTED":
            return
        body = self.bucket.get(artifact.manifest_key or "")
        try:
            artifact.manifest = json.loads(body or b"")
        except ValueError:
            raise RequestRefused("artifact has no manifest", status=400) from None
        collection = artifact.collection
        artifact.state = "COMMITTED"
        artifact.version = self._join(collection, artifact).version
        artifact.updated_at = self.now_text()
        collection.digest_algorithm = artifact.digest_algorithm
        for alias in [*artifact.wanted_aliases, "latest"]:
            collection.aliases[alias] = artifact
        if isinstance(artifact.creator, RunRecord):
            self.note_logged(artifact.creator, artifact)

    def _join(self, collection: CollectionRecord, artifact: ArtifactRecord) -> MembershipRecord:
        number = self.number()
        member = MembershipRecord(
            id=typed_id("ArtifactCollectionMembership", number),
            collection=collection,
            artifact=artifact,
            version=collection.next_version,
            created_at=self.now_text(),
        )
        collection.next_version += 1
        collection.members.append(member)
        collection.updated_at = member.created_at
        artifact.memberships.append(member)
        return member

    def link_artifact(
        self, artifact: ArtifactRecord, portfolio: CollectionRecord, aliases: Iterable[str] = ()
    ) -> MembershipRecord:
        """Link a version into a portfolio; `latest` moves to it. A version that is linked already keeps its place."""
        held = next((member for member in portfolio.members if member.artifact is artifact), None)
        member = held or self._join(portfolio, artifact)
        for alias in [*aliases, "latest"]:
            portfolio.aliases[alias] = artifact
        return member

    def unlink_artifact(self, artifact: ArtifactRecord, portfolio: CollectionRecord) -> bool:
        """Take a version out of a portfolio, with its aliases there; False when it is not in it."""
        member = next((held for held in portfolio.members if held.artifact is artifact), None)
        if member is None:
            return False
        portfolio.members.remove(member)
        artifact.memberships.remove(member)
        drop_aliases(portfolio, artifact)
        return True

    def delete_collection(self, collection: CollectionRecord) -> None:
        """A portfolio loses its links, a sequence its versions; the name is free again."""
        for artifact in collection.versions:
            if collection.kind == "PORTFOLIO":
                self.unlink_artifact(artifact, collection)
            else:
                self.delete_artifact(artifact)
        collection.state = "DELETED"
        collection.project.collections.pop(collection.name, None)

    def delete_artifact(self, artifact: ArtifactRecord) -> None:
        """Delete a version with its links and aliases; `latest` falls back to the newest version that is left."""
        for member in list(artifact.memberships):
            if member.collection.kind == "PORTFOLIO":
                self.unlink_artifact(artifact, member.collection)
        artifact.state = "DELETED"
        drop_aliases(artifact.collection, artifact)

    def note_logged(self, run: RunRecord, artifact: ArtifactRecord) -> None:
        if artifact not in run.logged:
            run.logged.append(artifact)

    def note_used(self, run: RunRecord, artifact: ArtifactRecord) -> None:
        """Record the artifact as an input of the run."""
        if artifact not in run.used:
            run.used.append(artifact)
            artifact.used_by.append(run)

    def find_member(self, project: ProjectRecord, name: str) -> MembershipRecord | None:
        """The place of "collection:alias", "collection:vN" or "collection" (its latest)."""
        collection_name, _, alias = name.partition(":")
        collection = project.collections.get(collection_name)
        return None if collection is None else member_by_alias(collection, alias or "latest")


def member_by_alias(collection: CollectionRecord, alias: str) -> MembershipRecord | None:
    """The committed member that an alias or "vN" names."""
    named = collection.aliases.get(alias)
    for member in collection.members:
        if member.artifact.state != "COMMITTED":
            continue
        if member.artifact is named or (named is None and alias == f"v{member.version}"):
            return member
    return None


def drop_aliases(collection: CollectionRecord, artifact: ArtifactRecord) -> None:
    """Take a version's aliases away; `latest` falls back to the newest member that is left."""
    was_latest = collection.aliases.get("latest") is artifact
    collection.aliases = {name: held for name, held in collection.aliases.items() if held is not artifact}
    left = [held for held in collection.versions if held.state == "COMMITTED" and held is not artifact]
    if was_latest and left:
        collection.aliases["latest"] = left[-1]
