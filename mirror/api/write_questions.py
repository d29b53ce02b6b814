"""What changes the server: each method is one mutation, sent once.

Nothing is sent twice on its own: after an answer that got lost only a look tells whether the server acted, and the look
is the caller's (`replay`). So every method may raise `Unreachable` with the effect there all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from mirror.api import write_documents as documents
from mirror.api.asking import Asking
from mirror.api.pages import BadRun
from mirror.api.rows import to_run_or_bad
from mirror.api.scalars import NULL, is_null
from mirror.errors import RefusedByServer, ServerError
from mirror.records.runs import RunRecord

_T = TypeVar("_T")


class UploadSlot(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bytes of one file go."""

    url: str | None  # signed, or relative to the base URL; None: the server wants no bytes
    headers: Mapping[str, str]


class _Success(msgspec.Struct):
    success: bool | None = None


class _Bucket(msgspec.Struct):
    bucket: msgspec.Raw = NULL
    inserted: bool | None = None


class _Slot(msgspec.Struct, rename="camel"):
    name: str
    upload_url: str | None = None


class _Slots(msgspec.Struct, rename={"run_id": "runID", "upload_headers": "uploadHeaders"}):
    run_id: str | None = None
    upload_headers: list[str] | None = None
    files: list[_Slot] | None = None


class _Artifact(msgspec.Struct):
    id: str
    state: str | None = None


class _WithArtifact(msgspec.Struct):
    artifact: _Artifact | None = None


class WriteQuestions(Asking):
    """The part of `Client` that writes."""

    async def edit_run(
        self, entity: str, project: str, storage_id: str, fields: Mapping[str, Any]
    ) -> RunRecord | BadRun:
        """Change fields of a run.

        Args:
            entity: W&B entity.
            project: W&B project.
            storage_id: of the run.
            fields: of `UpsertBucketInput`; `config` and `summaryMetrics` are whole documents, as JSON texts.

        Returns:
            The run as the server has it afterwards.
        """
        return await self._upsert(entity, project, {"id": storage_id, **fields})

    async def create_run(
        self, entity: str, project: str, run_id: str, *, state: str, display_name: str | None
    ) -> RunRecord | BadRun:
        """Make a run under an id; one that is there is left as it is, but for these fields."""
        fields = {"entityName": entity, "modelName": project, "name": run_id, "state": state}
        if display_name is not None:
            fields["displayName"] = display_name
        return await self._upsert(entity, project, fields)

    async def update_state(self, storage_id: str, state: str) -> None:
        """Set the state of a run.

        Raises:
            GraphQLError: the server knows no such transition; its words say so.
            RefusedByServer: it answered without success.
        """
        await self._succeeds(documents.UPDATE_STATE, {"run": storage_id, "state": state}, "updateRunState")

    async def stop_run(self, storage_id: str) -> None:
        """Ask a run to end.

        Raises:
            RefusedByServer: the server answered without success.
        """
        await self._succeeds(documents.STOP_RUN, {"run": storage_id}, "stopRun")

    async def delete_run(self, storage_id: str, *, delete_artifacts: bool) -> None:
        """Delete a run."""
        await self._mutate(documents.DELETE_RUN, {"run": storage_id, "deleteArtifacts": delete_artifacts})

    async def upload_slots(self, entity: str, project: str, run_id: str, names: Sequence[str]) -> dict[str, UploadSlot]:
        """Where the bytes of some files of a run go, by name.

        Raises:
            RefusedByServer: the key may not write this run.
            ServerError: a file was left out of the answer.
        """
        variables = {"entity": entity, "project": project, "run": run_id, "files": list(names)}
        found = self._only(await self._mutate(documents.CREATE_FILES, variables), "createRunFiles", _Slots)
        if not found.run_id:
            raise RefusedByServer(f"{self._host} lets this key upload nothing into {entity}/{project}/{run_id}")
        headers = dict(line.split(":", 1) for line in found.upload_headers or () if ":" in line)
        slots = {slot.name: UploadSlot(url=slot.upload_url, headers=headers) for slot in found.files or ()}
        if missing := set(names) - set(slots):
            raise ServerError(f"{self._host} gave no address for {min(missing)!r}")
        return slots

    async def mark_uploaded(self, entity: str, project: str, run_id: str, names: Sequence[str]) -> None:
        """Register uploaded files, where the server has the feature MARK_RUN_FILES_UPLOADED.

        Raises:
            RefusedByServer: the server answered without success.
        """
        variables = {"entity": entity, "project": project, "run": run_id, "files": list(names)}
        await self._succeeds(documents.MARK_FILES, variables, "markRunFilesUploaded")

    async def delete_files(self, file_ids: Sequence[str], project_internal_id: int | None) -> None:
        """Remove files of a run.

        Raises:
            RefusedByServer: the server answered without success.
        """
        variables = {"files": list(file_ids), "projectId": project_internal_id}
        await self._succeeds(documents.DELETE_FILES, variables, "deleteFiles")

    async def attach_artifact(self, fields: Mapping[str, Any]) -> str | None:
        """Attach a version that exists to a run as its output.

        Args:
            fields: of `CreateArtifactInput`.

        Returns:
            The state of the version: "COMMITTED" when the server had it already.
        """
        answer = await self._mutate(documents.ATTACH_ARTIFACT, {"input": dict(fields)})
        found = self._only(answer, "createArtifact", _WithArtifact).artifact
        return found.state if found is not None else None

    async def use_artifact(self, fields: Mapping[str, Any]) -> None:
        """Declare a version as an input of a run.

        Args:
            fields: of `UseArtifactInput`.
        """
        await self._mutate(documents.USE_ARTIFACT, {"input": dict(fields)})

    async def _upsert(self, entity: str, project: str, fields: Mapping[str, Any]) -> RunRecord | BadRun:
        answer = await self._mutate(documents.UPSERT_RUN, {"input": dict(fields)})
        found = self._only(answer, "upsertBucket", _Bucket)
        if is_null(found.bucket):
            raise RefusedByServer(f"{self._host} changed no run and did not say why")
        return to_run_or_bad(found.bucket, entity, project)

    async def _succeeds(self, document: str, variables: Mapping[str, Any], name: str) -> None:
        found = self._only(await self._mutate(document, variables), name, _Success)
        if not found.success:
            raise RefusedByServer(f"{self._host} answered {name} without success")

    async def _mutate(self, document: str, variables: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
        answer = await self._session.graphql(document, variables, attempts=1)
        return self._read(answer, dict[str, msgspec.Raw])

    def _only(self, data: Mapping[str, msgspec.Raw], name: str, shape: type[_T]) -> _T:
        payload = data.get(name, NULL)
        if is_null(payload):
            raise RefusedByServer(f"{self._host} answered {name} with nothing")
        return self._decode(payload, shape)
