"""The GraphQL texts about what runs contain: constants, and documents with one alias for each of several runs.

A document for several runs depends on their number alone; names and ids always travel as variables. A server without
`useImprovedPagination` (W&B API notes, section 3) has another way to console lines: `modern=False`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from mirror.api.documents.fragments import ARTIFACT_FIELDS, ARTIFACT_REF_FIELDS, CONTENT_FIELDS, FILE_FIELDS, LOG_FIELDS

FILES = (
    """
query MirrorFiles($entity: String!, $project: String!, $run: String!, $first: Int!, $after: String) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { id name files(first: $first, after: $after) { ...FilePage } }
  }
}
"""
    + FILE_FIELDS
)

FILES_BY_NAME = (
    """
query MirrorFilesByName($entity: String!, $project: String!, $run: String!, $names: [String], $first: Int!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { id name files(names: $names, first: $first) { ...FilePage } }
  }
}
"""
    + FILE_FIELDS
)

HISTORY = """
query MirrorHistory(
  $entity: String!, $project: String!, $run: String!, $minStep: Int64!, $maxStep: Int64!, $samples: Int!
) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { id name history(minStep: $minStep, maxStep: $maxStep, samples: $samples) }
  }
}
"""

EVENTS = """
query MirrorEvents($entity: String!, $project: String!, $run: String!, $samples: Int!) {
  project(name: $project, entityName: $entity) { run(name: $run) { id name events(samples: $samples) } }
}
"""

LOG_LINES = (
    """
query MirrorLogLines($entity: String!, $project: String!, $run: String!, $first: Int!, $after: String) {
  project(name: $project, entityName: $entity) {
    run(name: $run) {
      id name logLineCount
      logLines(first: $first, after: $after, useImprovedPagination: true) { ...LogLines }
    }
  }
}
"""
    + LOG_FIELDS
)

# What any server can do: its newest lines, which do not page (W&B API notes, section 6).
LOG_TAIL = (
    """
query MirrorLogTail($entity: String!, $project: String!, $run: String!, $last: Int!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { id name logLineCount logLines(last: $last) { ...LogLines } }
  }
}
"""
    + LOG_FIELDS
)

_RUN_ARTIFACTS = (
    """
query MirrorRunArtifacts($entity: String!, $project: String!, $run: String!, $first: Int!, $after: String) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { id name artifacts: DIRECTION(first: $first, after: $after) { ...ArtifactPage } }
  }
}
"""
    + ARTIFACT_REF_FIELDS
)
LOGGED_ARTIFACTS = _RUN_ARTIFACTS.replace("DIRECTION", "outputArtifacts")
USED_ARTIFACTS = _RUN_ARTIFACTS.replace("DIRECTION", "inputArtifacts")

ARTIFACT_MANIFEST = """
query MirrorArtifactManifest($artifact: ID!) {
  artifact(id: $artifact) { id digest digestAlgorithm currentManifest { file { sizeBytes directUrl } } }
}
"""

ARTIFACT_FILES = (
    """
query MirrorArtifactFiles($artifact: ID!, $first: Int!, $after: String) {
  artifact(id: $artifact) { id files(first: $first, after: $after) { ...FilePage } }
}
"""
    + FILE_FIELDS
)

ARTIFACT_FILES_BY_NAME = (
    """
query MirrorArtifactFilesByName($artifact: ID!, $names: [String!], $first: Int!) {
  artifact(id: $artifact) { id files(names: $names, first: $first) { ...FilePage } }
}
"""
    + FILE_FIELDS
)


@cache
def contents_document(count: int) -> str:
    """The contents of `count` runs: `$r0`, `$r1`, … are run ids, the answers are `r0`, `r1`, …"""
    variables = " ".join(f"$r{n}: String!" for n in range(count))
    runs = "\n".join(f"    r{n}: run(name: $r{n}) {{ ...RunContents }}" for n in range(count))
    return f"""
query MirrorRunContents(
  $entity: String!, $project: String!, $filesFirst: Int!, $artifactsFirst: Int!, {variables}
) {{
  project(name: $project, entityName: $entity) {{
{runs}
  }}
}}
{CONTENT_FIELDS}"""


@cache
def streams_document(count: int, *, modern: bool = True) -> str:
    """Events, console lines and history of `count` runs: for each run `n` what `stream_variables` names.

    Args:
        count: runs.
        modern: page console lines forward; else take the newest ones, which every server can.
    """
    variables = " ".join(_stream_types(n, modern=modern) for n in range(count))
    runs = "\n".join(_stream_fields(n, modern=modern) for n in range(count))
    return f"""
query MirrorRunStreams($entity: String!, $project: String!, $lines: Int!, {variables}) {{
  project(name: $project, entityName: $entity) {{
{runs}
  }}
}}
{LOG_FIELDS}"""


@cache
def artifacts_document(count: int) -> str:
    """`count` artifacts by id: `$a0`, `$a1`, … are ids, the answers are `a0`, `a1`, …"""
    variables = " ".join(f"$a{n}: ID!" for n in range(count))
    artifacts = "\n".join(f"  a{n}: artifact(id: $a{n}) {{ ...ArtifactFields }}" for n in range(count))
    return f"""
query MirrorArtifacts({variables}) {{
{artifacts}
}}
{ARTIFACT_FIELDS}"""


def _stream_types(n: int, *, modern: bool) -> str:
    cursor = f" $logAfter{n}: String $withLogTail{n}: Boolean! $logLast{n}: Int" if modern else ""
    return (
        f"$r{n}: String! $withEvents{n}: Boolean! $samples{n}: Int $withLog{n}: Boolean!{cursor}"
        f" $withHistory{n}: Boolean! $minStep{n}: Int64 $maxStep{n}: Int64 $rows{n}: Int"
    )


def _stream_fields(n: int, *, modern: bool) -> str:
    lines = f"first: $lines, after: $logAfter{n}, useImprovedPagination: true" if modern else "last: $lines"
    tail = f"logTail: logLines(last: $logLast{n}) @include(if: $withLogTail{n}) {{ ...LogLines }}" if modern else ""
    return f"""    r{n}: run(name: $r{n}) {{
      id name
      events(samples: $samples{n}) @include(if: $withEvents{n})
      logLineCount
      logLines({lines}) @include(if: $withLog{n}) {{ ...LogLines }}
      {tail}
      history(minStep: $minStep{n}, maxStep: $maxStep{n}, samples: $rows{n}) @include(if: $withHistory{n})
    }}"""


DOCUMENTS: Mapping[str, str] = MappingProxyType(
    {
        "FILES": FILES,
        "FILES_BY_NAME": FILES_BY_NAME,
        "HISTORY": HISTORY,
        "EVENTS": EVENTS,
        "LOG_LINES": LOG_LINES,
        "LOG_TAIL": LOG_TAIL,
        "LOGGED_ARTIFACTS": LOGGED_ARTIFACTS,
        "USED_ARTIFACTS": USED_ARTIFACTS,
        "ARTIFACT_MANIFEST": ARTIFACT_MANIFEST,
        "ARTIFACT_FILES": ARTIFACT_FILES,
        "ARTIFACT_FILES_BY_NAME": ARTIFACT_FILES_BY_NAME,
    }
)
