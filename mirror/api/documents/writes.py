"""The mutations, and what is read back after them. Each takes one `$input`, as W&B's do.

W&B API notes, sections 7, 8 and 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mirror.api.documents.fragments import RUN_FIELDS

UPSERT_RUN = (
    """
mutation MirrorUpsertRun($input: UpsertBucketInput!) {
  upsertBucket(input: $input) { inserted bucket { ...RunFields } }
}
"""
    + RUN_FIELDS
)

UPDATE_STATE = """
mutation MirrorUpdateState($input: UpdateRunStateInput!) {
  updateRunState(input: $input) { success }
}
"""

STOP_RUN = """
mutation MirrorStopRun($input: StopRunInput!) {
  stopRun(input: $input) { success }
}
"""

DELETE_RUN = """
mutation MirrorDeleteRun($input: DeleteRunInput!) {
  deleteRun(input: $input) { clientMutationId }
}
"""

CREATE_FILES = """
mutation MirrorCreateFiles($input: CreateRunFilesInput!) {
  createRunFiles(input: $input) { runID uploadHeaders files { name uploadUrl } }
}
"""

MARK_FILES = """
mutation MirrorMarkFiles($input: MarkRunFilesUploadedInput!) {
  markRunFilesUploaded(input: $input) { success }
}
"""

DELETE_FILES = """
mutation MirrorDeleteFiles($input: DeleteFilesInput!) {
  deleteFiles(input: $input) { success }
}
"""

ATTACH_ARTIFACT = """
mutation MirrorAttachArtifact($input: CreateArtifactInput!) {
  createArtifact(input: $input) { artifact { id state } }
}
"""

USE_ARTIFACT = """
mutation MirrorUseArtifact($input: UseArtifactInput!) {
  useArtifact(input: $input) { artifact { id } }
}
"""

ADD_ALIASES = """
mutation MirrorAddAliases($input: AddAliasesInput!) {
  addAliases(input: $input) { success }
}
"""

DELETE_ALIASES = """
mutation MirrorDeleteAliases($input: DeleteAliasesInput!) {
  deleteAliases(input: $input) { success }
}
"""

UPDATE_ARTIFACT = """
mutation MirrorUpdateArtifact($input: UpdateArtifactInput!) {
  updateArtifact(input: $input) { artifact { id } }
}
"""

# How addresses for uploads were asked for before there was `createRunFiles`.
UPLOAD_ADDRESSES = """
query MirrorUploadAddresses($entity: String!, $project: String!, $run: String!, $names: [String], $first: Int!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) {
      id
      files(names: $names, first: $first) { uploadHeaders edges { node { name uploadUrl url(upload: true) } } }
    }
  }
}
"""

DOCUMENTS: Mapping[str, str] = MappingProxyType(
    {
        "UPSERT_RUN": UPSERT_RUN,
        "UPDATE_STATE": UPDATE_STATE,
        "STOP_RUN": STOP_RUN,
        "DELETE_RUN": DELETE_RUN,
        "CREATE_FILES": CREATE_FILES,
        "MARK_FILES": MARK_FILES,
        "DELETE_FILES": DELETE_FILES,
        "ATTACH_ARTIFACT": ATTACH_ARTIFACT,
        "USE_ARTIFACT": USE_ARTIFACT,
        "ADD_ALIASES": ADD_ALIASES,
        "DELETE_ALIASES": DELETE_ALIASES,
        "UPDATE_ARTIFACT": UPDATE_ARTIFACT,
        "UPLOAD_ADDRESSES": UPLOAD_ADDRESSES,
    }
)
