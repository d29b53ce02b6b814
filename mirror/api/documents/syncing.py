"""What W&B's SDK asks while it brings a run upstream: how far the server is, and new versions of artifacts.

W&B API notes, sections 8 and 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from mirror.api.documents.fragments import FILE_FIELDS, RUN_FIELDS

STREAM_STATUS = """
query MirrorStreamStatus($entity: String!, $project: String!, $run: String!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { id name historyLineCount eventsLineCount logLineCount historyTail eventsTail }
  }
}
"""

# A run with how far its streams are: what a delivery has come to.
_SYNCED_RUN_FIELDS = (
    """
fragment SyncedRun on Run { ...RunFields eventsLineCount logLineCount historyTail eventsTail }
"""
    + RUN_FIELDS
)

SYNCED_RUN = (
    """
query MirrorSyncedRun($entity: String!, $project: String!, $run: String!) {
  project(name: $project, entityName: $entity) {
    id internalId run(name: $run) { ...SyncedRun }
  }
}
"""
    + _SYNCED_RUN_FIELDS
)

# The same with some of its files.
SYNCED_RUN_AND_FILES = (
    """
query MirrorSyncedRunAndFiles($entity: String!, $project: String!, $run: String!, $names: [String], $first: Int!) {
  project(name: $project, entityName: $entity) {
    id internalId run(name: $run) {
      ...SyncedRun
      files(names: $names, first: $first) { ...FilePage }
    }
  }
}
"""
    + _SYNCED_RUN_FIELDS
    + FILE_FIELDS
)


@cache
def runs_there_document(count: int) -> str:
    """Whether `count` runs are there: `$r0`, `$r1`, … are run ids, the answers are `r0`, `r1`, …"""
    variables = " ".join(f"$r{n}: String!" for n in range(count))
    runs = " ".join(f"r{n}: run(name: $r{n}) {{ id name }}" for n in range(count))
    return f"""
query MirrorRunsThere($entity: String!, $project: String!, {variables}) {{
  project(name: $project, entityName: $entity) {{ {runs} }}
}}
"""


@cache
def synced_runs_document(count: int) -> str:
    """`SYNCED_RUN_AND_FILES` for `count` runs: `$r0` is a run id, `$names0` names its files, the answer is `r0`, …"""
    variables = " ".join(f"$r{n}: String! $names{n}: [String]" for n in range(count))
    runs = " ".join(
        f"r{n}: run(name: $r{n}) {{ ...SyncedRun files(names: $names{n}, first: $first) {{ ...FilePage }} }}"
        for n in range(count)
    )
    return (
        f"""
query MirrorSyncedRuns($entity: String!, $project: String!, $first: Int!, {variables}) {{
  project(name: $project, entityName: $entity) {{ id internalId {runs} }}
}}
"""
        + _SYNCED_RUN_FIELDS
        + FILE_FIELDS
    )


@cache
def create_files_document(count: int) -> str:
    """`CREATE_FILES` for `count` runs: `$input0` is the input of the first, the answer is `r0`, …"""
    variables = ", ".join(f"$input{n}: CreateRunFilesInput!" for n in range(count))
    runs = " ".join(
        f"r{n}: createRunFiles(input: $input{n}) {{ runID uploadHeaders files {{ name uploadUrl }} }}"
        for n in range(count)
    )
    return f"mutation MirrorCreateFilesOfRuns({variables}) {{ {runs} }}"


CREATE_VERSION = """
mutation MirrorCreateVersion($input: CreateArtifactInput!) {
  createArtifact(input: $input) { artifact { id state } }
}
"""

CREATE_MANIFEST = """
mutation MirrorCreateManifest($input: CreateArtifactManifestInput!) {
  createArtifactManifest(input: $input) { artifactManifest { id file { uploadUrl uploadHeaders } } }
}
"""

CREATE_VERSION_FILES = """
mutation MirrorCreateVersionFiles($input: CreateArtifactFilesInput!) {
  createArtifactFiles(input: $input) { files { edges { node { name uploadUrl uploadHeaders } } } }
}
"""

COMMIT_VERSION = """
mutation MirrorCommitVersion($input: CommitArtifactInput!) {
  commitArtifact(input: $input) { artifact { id state } }
}
"""

REWIND_RUN = """
mutation MirrorRewindRun($input: RewindRunInput!) {
  rewindRun(input: $input) { rewoundRun { id } }
}
"""

SEND_ALERT = """
mutation MirrorSendAlert($input: NotifyScriptableRunAlertInput!) {
  notifyScriptableRunAlert(input: $input) { success }
}
"""

DOCUMENTS: Mapping[str, str] = MappingProxyType(
    {
        "STREAM_STATUS": STREAM_STATUS,
        "SYNCED_RUN": SYNCED_RUN,
        "SYNCED_RUN_AND_FILES": SYNCED_RUN_AND_FILES,
        "CREATE_VERSION": CREATE_VERSION,
        "CREATE_MANIFEST": CREATE_MANIFEST,
        "CREATE_VERSION_FILES": CREATE_VERSION_FILES,
        "COMMIT_VERSION": COMMIT_VERSION,
        "REWIND_RUN": REWIND_RUN,
        "SEND_ALERT": SEND_ALERT,
    }
)
