"""Questions about artifacts: those of a run, versions by id, manifests and files. W&B API notes, section 8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from mirror.api.answers import Answer, one_line
from mirror.api.artifact_rows import WireArtifacts, artifacts_page, to_artifact
from mirror.api.asking import Asking
from mirror.api.content_documents import (
    ARTIFACT_FILES,
    ARTIFACT_FILES_BY_NAME,
    ARTIFACT_MANIFEST,
    LOGGED_ARTIFACTS,
    USED_ARTIFACTS,
    artifacts_document,
)
from mirror.api.contents import ArtifactsPage, FilesPage, ListedFile, ManifestFile
from mirror.api.pages import BadArtifact
from mirror.api.scalars import NULL, Int64, int_or_none, is_null
from mirror.api.signed_url import SignedUrl
from mirror.errors import NotFound, ServerError
from mirror.records.artifacts import ArtifactRecord

ARTIFACTS_PER_PAGE = 100
ARTIFACTS_PER_DOCUMENT = 50
ARTIFACT_FILES_PER_PAGE = 500
NAMES_PER_DOCUMENT = 200

Direction = Literal["logged", "used"]


class _RunArtifacts(msgspec.Struct):
    artifacts: WireArtifacts | None = None


class _ArtifactData(msgspec.Struct):
    artifact: msgspec.Raw = NULL


class _File(msgspec.Struct, rename="camel"):
    direct_url: str | None = None
    url: str | None = None
    size_bytes: Int64 = None


class _Manifest(msgspec.Struct):
    file: _File | None = None


class _WithManifest(msgspec.Struct, rename="camel"):
    digest: str = ""
    digest_algorithm: str | None = None
    current_manifest: _Manifest | None = None


class ArtifactQuestions(Asking):
    """The part of `Client` for artifacts."""

    async def artifacts_page(
        self, entity: str, project: str, run_id: str, direction: Direction, after: str | None = None
    ) -> ArtifactsPage:
        """One page of the versions that a run logged or used, without pending and deleted ones.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            direction: "logged" or "used".
            after: `ArtifactsPage.after` of the page before, or of `RunContents.logged` and `.used`.

        Raises:
            NotFound: there is no such run.
        """
        document = LOGGED_ARTIFACTS if direction == "logged" else USED_ARTIFACTS
        variables = {"entity": entity, "project": project, "run": run_id, "first": ARTIFACTS_PER_PAGE, "after": after}
        answer = await self._ask(document, variables)
        wire = self._decode(self._run_of(answer, run_id, project), _RunArtifacts)
        try:
            page = artifacts_page(wire.artifacts, ARTIFACTS_PER_PAGE)
        except ValueError as error:
            page, why = None, one_line(str(error))
        if page is None:
            raise ServerError(f"{self._host} answered in a shape that W&B does not use: {why}")
        if page.has_more and page.after == after:
            raise self._stuck("artifacts")
        return page

    async def artifacts(self, artifact_ids: Sequence[str]) -> Mapping[str, ArtifactRecord | BadArtifact | None]:
        """Versions whole, by id: one request for each 50.

        Args:
            artifact_ids: `ArtifactRef.artifact_id`, any number; each is answered once.

        Returns:
            For each id the version (whatever its state), a bad one with its reason, or None when there is none.
        """

        async def ask(some: Sequence[str], attempts: int | None) -> Mapping[str, ArtifactRecord | BadArtifact | None]:
            variables = {f"a{n}": artifact_id for n, artifact_id in enumerate(some)}
            answer = await self._ask(artifacts_document(len(some)), variables, attempts=attempts)
            nodes = self._read(answer, dict[str, msgspec.Raw])
            return {artifact_id: _artifact(nodes.get(f"a{n}", NULL), artifact_id) for n, artifact_id in enumerate(some)}

        def bad(artifact_id: str, reason: str) -> ArtifactRecord | BadArtifact | None:
            return BadArtifact(artifact_id=artifact_id, reason=reason)

        return await self._by_name(artifact_ids, ARTIFACTS_PER_DOCUMENT, ask, bad)

    async def artifact_manifest(self, artifact_id: str) -> ManifestFile:
        """Where the manifest of a version is, and what the version's digest must come to.

        Raises:
            NotFound: there is no such version, or it has no manifest (yet).
        """
        answer = await self._ask(ARTIFACT_MANIFEST, {"artifact": artifact_id})
        wire = self._decode(self._artifact_in(answer), _WithManifest)
        file = wire.current_manifest.file if wire.current_manifest is not None else None
        url = (file.direct_url or file.url) if file is not None else None
        if file is None or url is None:
            raise NotFound(f"{self._host} has no manifest for this artifact", hint="it may not be finished yet")
        return ManifestFile(
            url=SignedUrl(url),
            size=int_or_none(file.size_bytes),
            digest=wire.digest,
            digest_algorithm=wire.digest_algorithm,
        )

    async def artifact_files(
        self, artifact_id: str, after: str | None = None, *, first: int = ARTIFACT_FILES_PER_PAGE
    ) -> FilesPage:
        """One page of a version's files with addresses for their bytes. What they must be is in the manifest.

        Raises:
            NotFound: there is no such version.
        """
        variables = {"artifact": artifact_id, "first": first, "after": after}
        page = self._files_in(self._artifact_in(await self._ask(ARTIFACT_FILES, variables)), first)
        if page.has_more and page.after == after:
            raise self._stuck("files")
        return page

    async def artifact_file_urls(self, artifact_id: str, names: Sequence[str]) -> FilesPage:
        """Some files of a version by name, with fresh addresses: for the few that are wanted, and after a 403.

        Raises:
            NotFound: there is no such version.
        """
        found: tuple[ListedFile, ...] = ()
        for start in range(0, len(names), NAMES_PER_DOCUMENT):  # no names at all would mean every file
            some = list(names[start : start + NAMES_PER_DOCUMENT])
            variables = {"artifact": artifact_id, "names": some, "first": len(some)}
            answer = await self._ask(ARTIFACT_FILES_BY_NAME, variables)
            found += self._files_in(self._artifact_in(answer), len(some) + 1).files
        return FilesPage(files=found, after=None, has_more=False)

    def _artifact_in(self, answer: Answer) -> msgspec.Raw:
        found = self._read(answer, _ArtifactData).artifact
        if is_null(found):
            raise NotFound(f"{self._host} has no such artifact", hint="it may have been deleted")
        return found


def _artifact(node: msgspec.Raw, artifact_id: str) -> ArtifactRecord | BadArtifact | None:
    if is_null(node):
        return None
    try:
        return to_artifact(node)
    except (ValueError, RecursionError) as error:
        reason = one_line(f"the server's answer for this artifact: {error}")
        return BadArtifact(artifact_id=artifact_id, reason=reason)
