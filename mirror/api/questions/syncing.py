"""What brings a run upstream that was trained without a server, by the protocol of W&B's own SDK.

Lines carry the number of the first of them, and a version the digest of what is in it, so that to send something again
changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mirror.api.documents import syncing as documents
from mirror.api.questions.fitted_asking import FEW_TRIES
from mirror.api.questions.writes import WriteQuestions
from mirror.api.rows.pages import BadRun
from mirror.api.rows.scalars import NULL, is_null
from mirror.api.rows.syncing import (
    CreatedManifest,
    CreatedVersion,
    CreatedVersionFiles,
    StreamStatus,
    VersionSlot,
    WireStatus,
    to_status,
)
from mirror.api.rows.writes import Bucket, Slots, UploadSlot, headers_in
from mirror.errors import RateLimited, ServerError, Unreachable
from mirror.records.runs import RunRecord

RUNS_PER_DOCUMENT = 32
RUNS_GIVEN_SLOTS = 16  # together
_SIZES = (1, 4, 16, RUNS_PER_DOCUMENT)  # of documents, so that few are fitted to a server


class VersionFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a version whose bytes are to go up."""

    name: str  # path in the version
    digest: str  # base64, as the manifest has it
    mimetype: str | None = None


class SyncQuestions(WriteQuestions):
    """The part of `Client` that brings runs upstream."""

    async def stream_status(self, entity: str, project: str, run_id: str) -> StreamStatus:
        """How far the server has a run's streams.

        Raises:
            NotFound: there is no such run.
        """
        variables = {"entity": entity, "project": project, "run": run_id}
        answer = await self._ask(documents.STREAM_STATUS, variables, partial=True)
        return to_status(self._decode(self._run_of(answer, run_id, project), WireStatus))

    async def absent_runs(self, entity: str, project: str, run_ids: Sequence[str]) -> frozenset[str]:
        """Those of some runs that the server plainly says are not there; each other one has to be looked at.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_ids: `RUNS_PER_DOCUMENT` at most.
        """
        count = next(size for size in _SIZES if size >= len(run_ids))
        asked = [*run_ids, *[run_ids[-1]] * (count - len(run_ids))]
        variables = {"entity": entity, "project": project, **{f"r{n}": run_id for n, run_id in enumerate(asked)}}
        try:
            answer = await self._ask(documents.runs_there_document(count), variables, attempts=FEW_TRIES, partial=True)
            project_there = self._read(answer, dict[str, msgspec.Raw]).get("project")
            if answer.errors or project_there is None:
                return frozenset()
            if is_null(project_there):
                return frozenset(run_ids)
            there = self._decode(project_there, dict[str, msgspec.Raw])
        except RateLimited:
            raise
        except (ServerError, Unreachable):  # so many may take it too long
            return frozenset()
        return frozenset(run_id for n, run_id in enumerate(run_ids) if f"r{n}" in there and is_null(there[f"r{n}"]))

    async def upload_slots_of(
        self, entity: str, project: str, names: Mapping[str, Sequence[str]]
    ) -> dict[str, dict[str, UploadSlot]]:
        """As `upload_slots`, for several runs; without those that have to be asked for by themselves.

        Args:
            entity: W&B entity.
            project: W&B project.
            names: of files, by run id; `RUNS_GIVEN_SLOTS` runs at most.
        """
        named = {"entityName": entity, "projectName": project}
        inputs = {
            f"input{number}": {**named, "runName": run_id, "files": list(wanted)}
            for number, (run_id, wanted) in enumerate(names.items())
        }
        if self._known.takes("CreateRunFilesInput", inputs["input0"]):
            return {}
        document = documents.create_files_document(len(names))
        try:
            answer = await self._ask(document, inputs, attempts=1, partial=True)
            payloads = self._read(answer, dict[str, msgspec.Raw])
        except RateLimited:
            raise
        except (ServerError, Unreachable):  # that some addresses were made changes nothing
            return {}
        found: dict[str, dict[str, UploadSlot]] = {}
        for number, (run_id, wanted) in enumerate(names.items()):
            with contextlib.suppress(ServerError):
                given = self._decode(payloads.get(f"r{number}", NULL), Slots)
                slots = given.by_name()
                if given.run_id and set(wanted) <= set(slots):
                    found[run_id] = slots
        return found

    async def make_run(
        self, entity: str, project: str, run_id: str, fields: Mapping[str, Any]
    ) -> tuple[RunRecord | BadRun, bool]:
        """As `upsert_run`, of a run that is not there; whether it was none of somebody else's, as far as is told."""
        given = self._given(entity, project, run_id, fields)
        done, bucket = await self._upserted(given)
        is_ours = is_null(done.payload) or self._decode(done.payload, Bucket).inserted is not False
        return self._run_in(entity, project, run_id, done, bucket), is_ours

    async def upsert_run(self, entity: str, project: str, run_id: str, fields: Mapping[str, Any]) -> RunRecord | BadRun:
        """Make a run, or change one, under its id.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            fields: of `UpsertBucketInput`; those that this server does not take are left out.
        """
        return await self._upsert(entity, project, run_id, self._given(entity, project, run_id, fields))

    def _given(self, entity: str, project: str, run_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        named = {"entityName": entity, "modelName": project, "name": run_id}
        lacking = self._known.takes("UpsertBucketInput", fields)
        return {**named, **{name: value for name, value in fields.items() if name not in lacking}}

    async def rewind_run(self, entity: str, project: str, run_id: str, step: int) -> None:
        """Have the server forget the rows of a run behind a step.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            step: the last one that stays.

        Raises:
            RefusedByServer: it says no.
        """
        named = {"entityName": entity, "projectName": project, "runName": run_id}
        at = {"metricName": "_step", "metricValue": float(step)}
        await self._mutate(documents.REWIND_RUN, "rewindRun", {**named, **at})

    async def alert(self, entity: str, project: str, run_id: str, fields: Mapping[str, Any]) -> None:
        """Have the server tell those who watch a run.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            fields: of `NotifyScriptableRunAlertInput`.

        Raises:
            RefusedByServer: it says no.
            Unreachable: it may have been done, where it `answered`; else it did not hear of it.
        """
        named = {"entityName": entity, "projectName": project, "runName": run_id}
        await self._succeeds(documents.SEND_ALERT, "notifyScriptableRunAlert", {**named, **fields})

    async def create_version(self, fields: Mapping[str, Any]) -> tuple[str, str | None]:
        """Begin a version, or find the one of the same digest.

        Args:
            fields: of `CreateArtifactInput`.

        Returns:
            Its id and its state; "COMMITTED" when the server had it already.
        """
        given = dict(fields)
        names = given.get("artifactCollectionNames") or ()
        if len(names) == 1 and not self._known.knows("CreateArtifactInput.artifactCollectionNames"):
            given["artifactCollectionName"] = given.pop("artifactCollectionNames")[0]
        lacking = self._known.takes("CreateArtifactInput", given)
        done = await self._mutate(
            documents.CREATE_VERSION, "createArtifact", {k: v for k, v in given.items() if k not in lacking}
        )
        found = self._decode(done.payload, CreatedVersion).artifact
        if found is None or not found.id:
            raise ServerError(f"{self._host} began a version and does not name it")
        return found.id, found.state

    async def create_manifest(self, fields: Mapping[str, Any]) -> tuple[str, UploadSlot]:
        """Announce the manifest of a version.

        Args:
            fields: of `CreateArtifactManifestInput`.

        Returns:
            Its id, and where its bytes go.
        """
        done = await self._mutate(documents.CREATE_MANIFEST, "createArtifactManifest", fields)
        found = self._decode(done.payload, CreatedManifest).artifact_manifest
        if found is None or found.file is None:
            raise ServerError(f"{self._host} gave no address for a manifest")
        return found.id, _slot(found.file)

    async def version_slots(
        self, artifact_id: str, manifest_id: str, files: Sequence[VersionFile], layout: str
    ) -> list[UploadSlot]:
        """Where the bytes of a version's files go, in their order; without an address where the server has them.

        Args:
            artifact_id: of the version.
            manifest_id: of its manifest.
            files: whose bytes are to go up.
            layout: of the storage, as the manifest says: V1 or V2.
        """
        specs = [
            {
                "artifactID": artifact_id, "artifactManifestID": manifest_id, "name": file.name, "md5": file.digest,
                "mimetype": file.mimetype,
            }
            for file in files
        ]  # fmt: skip
        fields = {"artifactFiles": specs, "storageLayout": layout}
        done = await self._mutate(documents.CREATE_VERSION_FILES, "createArtifactFiles", fields)
        slots = self._decode(done.payload, CreatedVersionFiles).slots
        if len(slots) != len(files):
            raise ServerError(f"{self._host} gave {len(slots)} addresses for {len(files)} files of a version")
        return [_slot(slot) for slot in slots]

    async def commit_version(self, artifact_id: str) -> str | None:
        """Declare a version to be whole.

        Returns:
            Its state; None when the server does not tell.
        """
        done = await self._mutate(documents.COMMIT_VERSION, "commitArtifact", {"artifactID": artifact_id})
        found = self._decode(done.payload, CreatedVersion).artifact
        return found.state if found is not None else None


def _slot(slot: VersionSlot) -> UploadSlot:
    return UploadSlot(url=slot.upload_url, headers=headers_in(slot.upload_headers))
