"""What changes the server: each method is one mutation, sent once.

Nothing is sent twice on its own: after an answer that got lost only a look tells whether the server acted, and the look
is the caller's (`replay`). So every method may raise `Unreachable` with the effect there all the same. A mutation that
answered something was executed, whatever errors stand beside; those are about what the server could not show of it.
`RefusedByServer` and `ChangeRefused` mean that it was not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from mirror.api.documents import writes as documents
from mirror.api.fitting.expected_types import INPUTS, composite_of
from mirror.api.fitting.passing import is_passing
from mirror.api.questions.asking import OF_ANOTHER, Asking, names_another
from mirror.api.rows.answers import TOO_LARGE
from mirror.api.rows.pages import BadRun
from mirror.api.rows.runs import to_run_or_bad
from mirror.api.rows.scalars import NULL, is_null
from mirror.api.rows.writes import (
    Bucket,
    Done,
    ListedSlots,
    Slots,
    Success,
    UploadSlot,
    WithArtifact,
    WithSlots,
    headers_in,
    words_in,
)
from mirror.errors import (
    ChangeRefused,
    DocumentRefused,
    GraphQLError,
    NotOffered,
    RefusedByServer,
    Reported,
    ServerError,
    Unreachable,
)
from mirror.records.operations import with_names
from mirror.records.runs import RunRecord

# Fields that help a newer server, and that an older one does the same without.
_DISPENSABLE = frozenset({"DeleteFilesInput.projectId"})

# Values that say no more than a field that is left out; any other value counts, also an empty one: it clears a field.
_HARMLESS: Mapping[str, object] = {
    "CreateArtifactInput.aliases": [],
    "CreateArtifactInput.tags": [],
    "UseArtifactInput.usedAs": None,
    "UpdateArtifactInput.tagsToAdd": [],
    "UpdateArtifactInput.tagsToDelete": [],
    "DeleteRunInput.deleteArtifacts": False,
}
ArtifactPlace = tuple[str, str, str]  # entity, project, collection
_MAY_BE_BUSY = frozenset({HTTPStatus.CONFLICT, HTTPStatus.LOCKED, HTTPStatus.TOO_EARLY})


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
        return await self._upsert(entity, project, run_id, {**({"id": storage_id} if storage_id else named), **fields})

    async def create_run(
        self, entity: str, project: str, run_id: str, *, state: str, display_name: str | None
    ) -> RunRecord | BadRun:
        """Make a run under an id; one that is there is left as it is, but for these fields."""
        fields = {"entityName": entity, "modelName": project, "name": run_id, "state": state}
        if display_name is not None:
            fields["displayName"] = display_name
        return await self._upsert(entity, project, run_id, fields)

    async def update_state(self, storage_id: str, state: str) -> None:
        """Set the state of a run; on a server that has no mutation for it, along with the run's other fields.

        Raises:
            ChangeRefused: the server knows no such transition; its words say so.
            RefusedByServer: it answered without success.
            NotOffered: the server has neither way.
        """
        fields = {"id": storage_id, "state": state}
        try:
            await self._succeeds(documents.UPDATE_STATE, "updateRunState", fields)
        except NotOffered:
            await self._upserted(fields)

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
            done = await self._mutate(documents.CREATE_FILES, "createRunFiles", fields)
        except NotOffered:
            return await self._listed_slots(entity, project, run_id, names)
        found = self._decode(done.payload, Slots)
        slots = found.by_name()
        if done.errors and not set(names) <= set(slots):  # addresses change nothing: they are asked for again
            raise self._refused(done.errors)
        if not found.run_id and not done.errors and self._known.knows("CreateRunFilesPayload.runID"):
            raise RefusedByServer(f"{self._host} lets this key upload nothing into {entity}/{project}/{run_id}")
        self._check_whole(slots, names)
        return slots

    async def _listed_slots(
        self, entity: str, project: str, run_id: str, names: Sequence[str]
    ) -> dict[str, UploadSlot]:
        """The older way: files that are not there yet are listed with an address to write to."""
        variables = {"entity": entity, "project": project, "run": run_id, "names": list(names), "first": len(names)}
        answer = await self._ask(documents.UPLOAD_ADDRESSES, variables)
        listed = self._decode(self._run_of(answer, run_id, project), WithSlots).files or ListedSlots()
        headers = headers_in(listed.upload_headers)
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
            The state of the version: "COMMITTED" when the server had it already; None when it does not tell.
        """
        given = dict(fields)
        names = given.get("artifactCollectionNames") or ()
        if len(names) == 1 and not self._known.knows("CreateArtifactInput.artifactCollectionNames"):
            given["artifactCollectionName"] = given.pop("artifactCollectionNames")[0]  # as older servers name it
        done = await self._mutate(documents.ATTACH_ARTIFACT, "createArtifact", given)
        found = self._decode(done.payload, WithArtifact).artifact
        return found.state if found is not None else None

    async def use_artifact(self, fields: Mapping[str, Any]) -> None:
        """Declare a version as an input of a run.

        Args:
            fields: of `UseArtifactInput`.
        """
        await self._mutate(documents.USE_ARTIFACT, "useArtifact", fields)

    async def change_aliases(
        self,
        artifact_id: str,
        place: ArtifactPlace,
        *,
        add: Sequence[str],
        remove: Sequence[str],
        before: Sequence[str],
    ) -> None:
        """Give a version aliases in its collection, and take some away.

        Args:
            artifact_id: of the version.
            place: its collection.
            add: aliases; each leaves the version that had it.
            remove: aliases of this version.
            before: all that it has, which a server that takes none one by one is sent whole.

        Raises:
            RefusedByServer: the server answered without success.
        """
        entity, project, collection = place
        named = {"entityName": entity, "projectName": project, "artifactCollectionName": collection}
        changes = [(documents.ADD_ALIASES, "addAliases", add), (documents.DELETE_ALIASES, "deleteAliases", remove)]
        try:
            for document, name, aliases in changes:
                if aliases:
                    given = [{**named, "alias": alias} for alias in aliases]
                    await self._succeeds(document, name, {"artifactID": artifact_id, "aliases": given})
        except NotOffered:
            kept = with_names(before, add, remove)
            whole = [{"artifactCollectionName": collection, "alias": alias} for alias in kept]
            await self._mutate(
                documents.UPDATE_ARTIFACT, "updateArtifact", {"artifactID": artifact_id, "aliases": whole}
            )

    async def change_artifact_tags(self, artifact_id: str, *, add: Sequence[str], remove: Sequence[str]) -> None:
        """Give a version tags, and take some away."""
        fields = {
            "artifactID": artifact_id,
            "tagsToAdd": [{"tagName": tag} for tag in add],
            "tagsToDelete": [{"tagName": tag} for tag in remove],
        }
        await self._mutate(documents.UPDATE_ARTIFACT, "updateArtifact", fields)

    async def _upsert(self, entity: str, project: str, run_id: str, fields: Mapping[str, Any]) -> RunRecord | BadRun:
        done, bucket = await self._upserted(fields)
        return self._run_in(entity, project, run_id, done, bucket)

    def _run_in(self, entity: str, project: str, run_id: str, done: Done, bucket: msgspec.Raw) -> RunRecord | BadRun:
        """A run as a mutation shows it; what is shown of another one tells nothing."""
        if is_null(bucket):
            return BadRun(run_id=None, storage_id=None, reason=done.words or "the server shows no run that it changed")
        if names_another(bucket, run_id):
            return BadRun(run_id=run_id, storage_id=None, reason=OF_ANOTHER)
        failed = {**self._untold(documents.UPSERT_RUN), **done.failed("bucket")}
        return to_run_or_bad(bucket, entity, project, failed=failed)

    async def _upserted(self, fields: Mapping[str, Any]) -> tuple[Done, msgspec.Raw]:
        """Change a run's fields; also the run as it is afterwards, null where it is not shown, changed or not."""
        done = await self._mutate(documents.UPSERT_RUN, "upsertBucket", fields, is_looked_for=True)
        bucket = self._decode(done.payload, Bucket).bucket if not is_null(done.payload) else NULL
        if is_null(bucket) and not done.is_unread and done.errors:
            raise self._refused(done.errors)
        return done, bucket

    async def _succeeds(self, document: str, name: str, fields: Mapping[str, Any]) -> None:
        done = await self._mutate(document, name, fields)
        found = self._decode(done.payload, Success)
        if found.success or not self._known.knows(f"{composite_of('Mutation', name)}.success"):
            return
        if found.success is None and done.is_unread:
            raise Unreachable(f"{self._host} may have done it, but does not show: {done.words}", answered=True)
        if done.errors:
            raise self._refused(done.errors)
        raise RefusedByServer(f"{self._host} answered {name} without success")

    async def _mutate(
        self, document: str, name: str, fields: Mapping[str, Any], *, is_looked_for: bool = False
    ) -> Done:
        """Send one mutation, with what its input has on this server.

        Args:
            document: of the mutation.
            name: its name.
            fields: of its input.
            is_looked_for: whether an answer without a payload and without errors, which tells nothing, is returned.

        Raises:
            NotOffered: the server does not have the mutation, or its input lacks a field that counts.
            ChangeRefused: it says no; an error of the moment is a plain `GraphQLError`.
            RefusedByServer: it takes nothing of this size.
            Unreachable: it may have been done, and the answer is lost, or nothing.
        """
        while True:
            given = self._input(name, fields)
            try:
                answer = await self._ask(document, {"input": given}, attempts=1)
            except DocumentRefused:  # before anything was done
                if self._input(name, fields) == given:
                    raise
                continue
            except GraphQLError as error:
                if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.status in _MAY_BE_BUSY:
                    raise
                raise self._refused(error.reported, status=error.status) from None
            except ServerError as error:
                if error.status == TOO_LARGE:
                    raise RefusedByServer(error.message, hint=error.hint, status=error.status) from None
                raise
            payload = self._read(answer, dict[str, msgspec.Raw]).get(name, NULL)
            if is_null(payload) and not is_looked_for:
                raise Unreachable(f"{self._host} may have done it, but answered {name} with nothing", answered=True)
            return Done(name=name, payload=payload, errors=answer.errors)

    def _refused(self, reported: Sequence[Reported], *, status: int = 200) -> GraphQLError:
        """What errors of a change mean: a no, or a failure of the moment."""
        kind = GraphQLError if is_passing(reported) else ChangeRefused
        return kind(f"{self._host} reports: {words_in(reported)}", reported=tuple(reported), status=status)

    def _input(self, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a mutation's input that this server has.

        Raises:
            NotOffered: it lacks one that counts.
        """
        lacking = self._known.takes(INPUTS[name], fields)
        counting = [field for field in lacking if _counts(f"{INPUTS[name]}.{field}", fields[field])]
        if counting:
            raise NotOffered(f"{self._host} takes no {', '.join(counting)} in {name}")
        return {field: value for field, value in fields.items() if field not in lacking}


def _counts(name: str, value: object) -> bool:
    """Whether a mutation says something else without this field of its input."""
    return name not in _DISPENSABLE and not (name in _HARMLESS and _HARMLESS[name] == value)
