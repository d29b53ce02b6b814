"""The mutations, and what is read back after them. Each is a constant that a test validates against the schema.

W&B API notes, sections 7, 8 and 9.
"""

from __future__ import annotations

from mirror.api.fragments import RUN_FIELDS

UPSERT_RUN = (
    """
mutation MirrorUpsertRun($input: UpsertBucketInput!) {
  upsertBucket(input: $input) { inserted bucket { ...RunFields } }
}
"""
    + RUN_FIELDS
)

UPDATE_STATE = """
mutation MirrorUpdateState($run: ID!, $state: String!) {
  updateRunState(input: { id: $run, state: $state }) { success }
}
"""

STOP_RUN = """
mutation MirrorStopRun($run: ID!) {
  stopRun(input: { id: $run }) { success }
}
"""

DELETE_RUN = """
mutation MirrorDeleteRun($run: ID!, $deleteArtifacts: Boolean!) {
  deleteRun(input: { id: $run, deleteArtifacts: $deleteArtifacts }) { clientMutationId }
}
"""

CREATE_FILES = """
mutation MirrorCreateFiles($entity: String!, $project: String!, $run: String!, $files: [String!]!) {
  createRunFiles(input: { entityName: $entity, projectName: $project, runName: $run, files: $files }) {
    runID uploadHeaders files { name uploadUrl }
  }
}
"""

MARK_FILES = """
mutation MirrorMarkFiles($entity: String!, $project: String!, $run: String!, $files: [String!]!) {
  markRunFilesUploaded(input: { entityName: $entity, projectName: $project, runName: $run, files: $files }) { success }
}
"""

DELETE_FILES = """
mutation MirrorDeleteFiles($files: [ID!]!, $projectId: Int) {
  deleteFiles(input: { files: $files, projectId: $projectId }) { success }
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
