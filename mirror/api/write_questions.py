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
from mirror.api.expected_types import INPUTS, composite_of
from mirror.api.pages import BadRun
from mirror.api.rows import to_run_or_bad
from mirror.api.scalars import NULL, is_null
from mirror.errors import DocumentRefused, NotOffered, RefusedByServer, ServerError
from mirror.records.runs import RunRecord

_T = TypeVar("_T")

# Fields that help a newer server, and that an older one does the same without.
_DISPENSABLE = frozenset({"DeleteFilesInput.projectId"})


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
    url: str | None = None  # to write to, where it was asked for so


class _SlotEdge(msgspec.Struct):
    node: _Slot | None = None


class _ListedSlots(msgspec.Struct, rename="camel"):
    upload_headers: list[str | None] | None = None
    edges: list[_SlotEdge | None] | None = None


class _WithSlots(msgspec.Struct):
    files: _ListedSlots | None = None


class _Slots(msgspec.Struct, rename={"run_id": "runID", "upload_headers": "uploadHeaders"}):
    run_id: str | None = None
    upload_headers: list[str | None] | None = None
    files: list[_Slot | None] | None = None


class _Artifact(msgspec.Struct):
    id: str
    state: str | None = None


class _WithArtifact(msgspec.Struct):
    artifact: _Artifact | None = None


class WriteQuestions(Asking):
    """The part of `Client` that writes."""

    async def edit_run(
        self, entity: str, project: str, run_id: str, storage_id: str, fields: Mapping[str, Any]
    ) -> RunRecord | BadRun:
        """Change fields of a run.

        Args:
            entity: W&B entity.
            project: W&B project.
            run_id: the run.
            storage_id: of the run; empty where the server does not tell it.
            fields: of `UpsertBucketInput`; `config` and `summaryMetrics` are whole documents, as JSON texts.

        Returns:
            The run as the server has it afterwards.
        """
        named = {"entityName": entity, "modelName": project, "name": run_id}
        return await self._upsert(entity, project, {**({"id": storage_id} if storage_id else named), **fields})

    async def create_run(
        self, entity: str, project: str, run_id: str, *, state: str, display_name: str | None
    ) -> RunRecord | BadRun:
        """Make a run under an id; one that is there is left as it is, but for these fields."""
        fields = {"entityName": entity, "modelName": project, "name": run_id, "state": state}
        if display_name is not None:
            fields["displayName"] = display_name
        return await self._upsert(entity, project, fields)

    async def update_state(self, storage_id: str, state: str) -> None:
        """Set the state of a run; on a server that has no mutation for it, along with the run's other fields.

        Raises:
            GraphQLError: the server knows no such transition; its words say so.
            RefusedByServer: it answered without success.
            NotOffered: the server has neither way.
        """
        fields = {"id": storage_id, "state": state}
        try:
            await self._succeeds(documents.UPDATE_STATE, "updateRunState", fields)
        except NotOffered:
            await self._mutate(documents.UPSERT_RUN, "upsertBucket", fields)

    async def stop_run(self, storage_id: str) -> None:
        """Ask a run to end.

        Raises:
            RefusedByServer: the server answered without success.
        """
        await self._succeeds(documents.STOP_RUN, "stopRun", {"id": storage_id})

    async def delete_run(self, storage_id: str, *, delete_artifacts: bool) -> None:
        """Delete a run."""
        fields = {"id": storage_id, "deleteArtifacts": delete_artifacts}
        await self._mutate(documents.DELETE_RUN, "deleteRun", fields)

    async def upload_slots(self, entity: str, project: str, run_id: str, names: Sequence[str]) -> dict[str, UploadSlot]:
        """Where the bytes of some files of a run go, by name.

        Raises:
            RefusedByServer: the key may not write this run.
            ServerError: a file was left out of the answer.
        """
        fields = {"entityName": entity, "projectName": project, "runName": run_id, "files": list(names)}
        try:
            answer = await self._mutate(documents.CREATE_FILES, "createRunFiles", fields)
        except NotOffered:
            return await self._listed_slots(entity, project, run_id, names)
        found = self._only(answer, "createRunFiles", _Slots)
        if not found.run_id and self._known.knows("CreateRunFilesPayload.runID"):
            raise RefusedByServer(f"{self._host} lets this key upload nothing into {entity}/{project}/{run_id}")
        headers = _headers(found.upload_headers)
        slots = {slot.name: UploadSlot(url=slot.upload_url, headers=headers) for slot in found.files or () if slot}
        self._check_whole(slots, names)
        return slots

    async def _listed_slots(
        self, entity: str, project: str, run_id: str, names: Sequence[str]
    ) -> dict[str, UploadSlot]:
        """The older way: files that are not there yet are listed with an address to write to."""
        variables = {"entity": entity, "project": project, "run": run_id, "names": list(names), "first": len(names)}
        answer = await self._ask(documents.UPLOAD_ADDRESSES, variables)
        listed = self._decode(self._run_of(answer, run_id, project), _WithSlots).files or _ListedSlots()
        headers = _headers(listed.upload_headers)
        nodes = [edge.node for edge in listed.edges or () if edge is not None and edge.node is not None]
        slots = {node.name: UploadSlot(url=node.upload_url or node.url, headers=headers) for node in nodes}
        self._check_whole(slots, names)
        return slots

    def _check_whole(self, slots: Mapping[str, UploadSlot], names: Sequence[str]) -> None:
        if missing := set(names) - set(slots):
            raise ServerError(f"{self._host} gave no address for {min(missing)!r}")

    async def mark_uploaded(self, entity: str, project: str, run_id: str, names: Sequence[str]) -> None:
        """Register uploaded files, where the server has the feature MARK_RUN_FILES_UPLOADED.

        Raises:
            RefusedByServer: the server answered without success.
        """
        fields = {"entityName": entity, "projectName": project, "runName": run_id, "files": list(names)}
        await self._succeeds(documents.MARK_FILES, "markRunFilesUploaded", fields)

    async def delete_files(self, file_ids: Sequence[str], project_internal_id: int | None) -> None:
        """Remove files of a run.

        Raises:
            RefusedByServer: the server answered without success.
        """
        fields = {"files": list(file_ids), "projectId": project_internal_id}
        await self._succeeds(documents.DELETE_FILES, "deleteFiles", fields)

    async def attach_artifact(self, fields: Mapping[str, Any]) -> str | None:
        """Attach a version that exists to a run as its output.

        Args:
            fields: of `CreateArtifactInput`.

        Returns:
            The state of the version: "COMMITTED" when the server had it already.
        """
        given = dict(fields)
        names = given.get("artifactCollectionNames") or ()
        if len(names) == 1 and not self._known.knows("CreateArtifactInput.artifactCollectionNames"):
            given["artifactCollectionName"] = given.pop("artifactCollectionNames")[0]  # as older servers name it
        answer = await self._mutate(documents.ATTACH_ARTIFACT, "createArtifact", given)
        found = self._only(answer, "createArtifact", _WithArtifact).artifact
        return found.state if found is not None else None

    async def use_artifact(self, fields: Mapping[str, Any]) -> None:
        """Declare a version as an input of a run.

        Args:
            fields: of `UseArtifactInput`.
        """
        await self._mutate(documents.USE_ARTIFACT, "useArtifact", fields)

    async def _upsert(self, entity: str, project: str, fields: Mapping[str, Any]) -> RunRecord | BadRun:
        answer = await self._mutate(documents.UPSERT_RUN, "upsertBucket", fields)
        found = self._only(answer, "upsertBucket", _Bucket)
        if not is_null(found.bucket):
            return to_run_or_bad(found.bucket, entity, project)
        if self._known.knows("UpsertBucketPayload.bucket"):
            raise RefusedByServer(f"{self._host} changed no run and did not say why")
        return BadRun(run_id=None, storage_id=None, reason="the server shows no run that it changed")

    async def _succeeds(self, document: str, name: str, fields: Mapping[str, Any]) -> None:
        found = self._only(await self._mutate(document, name, fields), name, _Success)
        payload = composite_of("Mutation", name)
        if not found.success and self._known.knows(f"{payload}.success"):
            raise RefusedByServer(f"{self._host} answered {name} without success")

    async def _mutate(self, document: str, name: str, fields: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
        """Send one mutation, with what its input has on this server.

        Raises:
            NotOffered: the server does not have the mutation, or its input lacks a field that counts.
        """
        before: Mapping[str, Any] | None = None
        while True:
            given = self._input(name, fields)
            try:
                answer = await self._ask(document, {"input": given}, attempts=1)
            except DocumentRefused:  # before anything was done
                if given == before:
                    raise
                before = given
                continue
            return self._read(answer, dict[str, msgspec.Raw])

    def _input(self, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a mutation's input that this server has.

        Raises:
            NotOffered: it lacks one that counts.
        """
        lacking = self._known.takes(INPUTS[name], fields)
        counting = [field for field in lacking if fields[field] and f"{INPUTS[name]}.{field}" not in _DISPENSABLE]
        if counting:
            raise NotOffered(f"{self._host} takes no {', '.join(counting)} in {name}")
        return {field: value for field, value in fields.items() if field not in lacking}

    def _only(self, data: Mapping[str, msgspec.Raw], name: str, shape: type[_T]) -> _T:
        payload = data.get(name, NULL)
        if is_null(payload):
            raise RefusedByServer(f"{self._host} answered {name} with nothing")
        return self._decode(payload, shape)


def _headers(lines: Sequence[str | None] | None) -> dict[str, str]:
    """Headers of an upload, from `Name:value` lines."""
    return dict(line.split(":", 1) for line in lines or () if line and ":" in line)
