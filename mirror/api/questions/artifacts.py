"""Questions about artifacts: those of a run, versions by id, manifests and files. W&B API notes, section 8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import msgspec

from mirror.api.documents.contents import (
    ARTIFACT_FILES,
    ARTIFACT_FILES_BY_NAME,
    ARTIFACT_MANIFEST,
    LOGGED_ARTIFACTS,
    USED_ARTIFACTS,
    artifacts_document,
)
from mirror.api.questions.asking import Asking, one_of, says_missing
from mirror.api.rows.answers import Answer, one_line
from mirror.api.rows.artifacts import artifacts_page, to_artifact
from mirror.api.rows.flaws import Flaws, fields_of, inside, lost_with
from mirror.api.rows.listed import ArtifactsPage, FilesPage, ListedFile, ManifestFile
from mirror.api.rows.lists import NO_FLAWS
from mirror.api.rows.misplaced import failed_of_aliases
from mirror.api.rows.pages import BadArtifact
from mirror.api.rows.scalars import ABSENT, NULL, Int64, int_or_none, is_null, is_told
from mirror.api.transport.signed_url import SignedUrl
from mirror.errors import GraphQLError, NotFound, ServerError
from mirror.records.artifacts import ArtifactRecord

ARTIFACTS_PER_PAGE = 100
ARTIFACTS_PER_DOCUMENT = 50
ARTIFACT_FILES_PER_PAGE = 500
NAMES_PER_DOCUMENT = 200

Direction = Literal["logged", "used"]


class _RunArtifacts(msgspec.Struct):
    artifacts: msgspec.Raw = ABSENT


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
            after: `ArtifactsPage.after` of the page before, or of `ListedContents.logged` and `.used`.

        Raises:
            NotFound: there is no such run.
        """
        document = LOGGED_ARTIFACTS if direction == "logged" else USED_ARTIFACTS
        variables = {"entity": entity, "project": project, "run": run_id, "first": ARTIFACTS_PER_PAGE, "after": after}
        without: frozenset[str] = frozenset()
        flaw: str | None = None
        while True:  # fields that fail and take versions along are left out
            lacking = [f"Artifact.{name}" for name in without]
            answer = await self._ask(document, variables, partial=True, without=lacking)
            page = self._artifacts_in(answer, run_id, project)
            flaw = flaw or page.flaw
            if page.lost_to <= without:
                break
            without |= page.lost_to
        page = msgspec.structs.replace(page, flaw=flaw)
        if page.has_more and page.after == after:
            raise self._stuck("artifacts")
        return page

    def _artifacts_in(self, answer: Answer, run_id: str, project: str) -> ArtifactsPage:
        """The page of versions in an answer about one run.

        Raises:
            NotFound: there is no such run.
            ServerError: the server could not list them, or they have another shape.
        """
        wire = self._decode(self._run_of(answer, run_id, project), _RunArtifacts)
        failed = self._flaws_of(answer, "project", "run")
        if "artifacts" in fields_of(failed) and not is_told(wire.artifacts):
            raise self._reported(answer)
        try:
            return artifacts_page(wire.artifacts, ARTIFACTS_PER_PAGE, inside(failed, "artifacts"))
        except ValueError as error:
            why = one_line(str(error))
        raise ServerError(f"{self._host} answered in a shape that W&B does not use: {why}")

    async def artifacts(self, artifact_ids: Sequence[str]) -> Mapping[str, ArtifactRecord | BadArtifact | None]:
        """Versions whole, by id: one request for each 50.

        Args:
            artifact_ids: `ArtifactRef.artifact_id`, any number; each is answered once.

        Returns:
            For each id the version (whatever its state), a bad one with its reason, or None when there is none.
        """

        async def ask(
            some: Sequence[str], attempts: int | None, without: Mapping[str, str] = MappingProxyType({})
        ) -> Mapping[str, ArtifactRecord | BadArtifact | None]:
            variables = {f"a{n}": artifact_id for n, artifact_id in enumerate(some)}
            document = artifacts_document(len(some))
            try:
                answer = await self._ask(
                    document,
                    variables,
                    attempts=attempts,
                    partial=True,
                    without=[f"Artifact.{name}" for name in without],
                    one=one_of(some, artifact_ids, ("a0",), "Artifact"),
                )
            except GraphQLError as error:
                lost = lost_with(error, (), alone=len(some) == 1)
                if not lost.keys() - without.keys() - {"id"}:
                    raise
                return await ask(some, attempts, {**without, **lost})
            failed = failed_of_aliases(answer.data, answer.errors, ())
            if failed is None:
                raise self._reported(answer)
            nodes = self._read(answer, dict[str, msgspec.Raw])
            found: dict[str, ArtifactRecord | BadArtifact | None] = {}
            for n, artifact_id in enumerate(some):
                node, fields = nodes.get(f"a{n}", NULL), failed.get(f"a{n}", NO_FLAWS)
                if is_null(node) and (taken := fields_of(fields)).keys() - without.keys() - {"id"}:
                    found |= await ask([artifact_id], attempts, {**without, **taken})  # it took the version along
                else:
                    found[artifact_id] = _artifact(node, artifact_id, {**without, **fields})
            return found

        def bad(artifact_id: str, reason: str) -> ArtifactRecord | BadArtifact | None:
            return BadArtifact(artifact_id=artifact_id, reason=reason)

        return await self._by_name(artifact_ids, ARTIFACTS_PER_DOCUMENT, ask, bad)

    async def artifact_manifest(self, artifact_id: str) -> ManifestFile:
        """Where the manifest of a version is, and what the version's digest must come to.

        Raises:
            NotFound: there is no such version, or it has no manifest (yet).
        """
        answer = await self._manifest(artifact_id)
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

    async def _manifest(self, artifact_id: str) -> Answer:
        """The answer about a manifest; fields of its file that fail and take it along are left out.

        Raises:
            GraphQLError: it cannot be had without what fails.
        """
        without: frozenset[str] = frozenset()
        variables = {"artifact": artifact_id}
        while True:
            answer = await self._ask(ARTIFACT_MANIFEST, variables, partial=True, without=sorted(without))
            failed = self._flaws_of(answer, "artifact")
            lost = frozenset(f"File.{name}" for name in fields_of(inside(failed, "currentManifest.file")))
            if not lost - without:
                if "currentManifest" in fields_of(failed):
                    raise self._reported(answer)
                return answer
            without |= lost

    async def artifact_files(
        self, artifact_id: str, after: str | None = None, *, first: int = ARTIFACT_FILES_PER_PAGE
    ) -> FilesPage:
        """One page of a version's files with addresses for their bytes. What they must be is in the manifest.

        Raises:
            NotFound: there is no such version.
        """
        variables = {"artifact": artifact_id, "first": first, "after": after}
        page = await self._files_page(ARTIFACT_FILES, variables, self._artifact_in, "artifact")
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
            variables = {"artifact": artifact_id, "names": some, "first": len(some) + 1}
            page = await self._files_page(ARTIFACT_FILES_BY_NAME, variables, self._artifact_in, "artifact")
            found += page.files
        return FilesPage(files=found, after=None, has_more=False)

    def _artifact_in(self, answer: Answer) -> msgspec.Raw:
        """The version in an answer about one.

        Raises:
            NotFound: there is none.
            GraphQLError: what failed took it along.
        """
        found = self._read(answer, _ArtifactData).artifact
        if is_null(found):
            if answer.errors and not says_missing(answer.errors):
                raise self._reported(answer)
            raise NotFound(f"{self._host} has no such artifact", hint="it may have been deleted")
        return found


def _artifact(node: msgspec.Raw, artifact_id: str, failed: Flaws) -> ArtifactRecord | BadArtifact | None:
    if is_null(node):
        return BadArtifact(artifact_id=artifact_id, reason="; ".join(failed.values())) if failed else None
    try:
        return to_artifact(node, failed)
    except (ValueError, RecursionError) as error:
        reason = one_line(f"the server's answer for this artifact: {error}")
        return BadArtifact(artifact_id=artifact_id, reason=reason)
