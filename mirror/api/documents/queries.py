"""Every GraphQL text that is asked, as a named constant, written for a current server; a test validates each against
the schema. What is sent is fitted to the server at hand (`fitting`).

An operation is named for what it is for, so that a server's log says who asked. What is asked of a thing is in
`fragments`; the documents about what a run contains are in `contents`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from mirror.api.documents.fragments import CONTENT_FIELDS, RUN_FIELDS, SERVER_FIELDS, SWEEP_FIELDS, VIEWER_FIELDS

VIEWER = (
    """
query MirrorViewer {
  viewer { ...ViewerFields }
}
"""
    + VIEWER_FIELDS
)

# What every GraphQL server can answer.
PING = """
query MirrorPing {
  __typename
}
"""

FEATURES = (
    """
query MirrorFeatures {
  serverInfo { ...ServerFields }
}
"""
    + SERVER_FIELDS
)

# What a server says of itself and of the key, in one request.
SELF = (
    """
query MirrorSelf {
  serverInfo { ...ServerFields }
  viewer { ...ViewerFields }
}
"""
    + SERVER_FIELDS
    + VIEWER_FIELDS
)

PROJECTS = """
query MirrorProjects($entity: String!, $first: Int!, $after: String) {
  models(entityName: $entity, first: $first, after: $after) {
    edges { cursor node { id internalId name entityName createdAt runCount } }
    pageInfo { endCursor hasNextPage }
  }
}
"""

PROJECT = """
query MirrorProject($entity: String!, $project: String!) {
  project(name: $project, entityName: $entity) { id internalId name entityName createdAt runCount }
}
"""

# One document with all that a page of runs needs, so that "nothing new" costs one request a project.
_RUNS = """
query MirrorRuns(
  $entity: String!, $project: String!, $filters: JSONString, $order: String, $first: Int!, $after: String,
  $countFilters: JSONString, $withCounts: Boolean!, $withSweeps: Boolean!
) {
  project(name: $project, entityName: $entity) {
    id internalId name createdAt
    counted: runCount(filters: $countFilters) @include(if: $withCounts)
    held: runCount @include(if: $withCounts)
    runs(filters: $filters, order: $order, first: $first, after: $after) {
      edges { cursor node { ...RunFields } }
      pageInfo { endCursor hasNextPage }
    }
    sweeps(first: 100) @include(if: $withSweeps) {
      edges { cursor node { ...SweepFields } }
      pageInfo { endCursor hasNextPage }
    }
  }
  serverInfo @include(if: $withCounts) { ...ServerFields }
}
"""

RUNS = _RUNS + RUN_FIELDS + SWEEP_FIELDS + SERVER_FIELDS

# Another text and not a variable: a run whose contents the server cannot serve is still listed.
RUNS_WITH_CONTENTS = (
    _RUNS.replace("$withSweeps: Boolean!", "$withSweeps: Boolean!, $filesFirst: Int!, $artifactsFirst: Int!").replace(
        "...RunFields", "...RunFields ...RunContents"
    )
    + RUN_FIELDS
    + SWEEP_FIELDS
    + SERVER_FIELDS
    + CONTENT_FIELDS
)

RUN = (
    """
query MirrorRun($entity: String!, $project: String!, $run: String!) {
  project(name: $project, entityName: $entity) { id internalId run(name: $run) { ...RunFields } }
}
"""
    + RUN_FIELDS
)

# To step over a run whose heavy fields the server cannot serve.
RUN_CURSORS = """
query MirrorRunCursors(
  $entity: String!, $project: String!, $filters: JSONString, $order: String, $first: Int!, $after: String
) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, order: $order, first: $first, after: $after) {
      edges { cursor node { id name createdAt } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""

# To step over a run whose very name fails.
BARE_CURSORS = """
query MirrorBareCursors(
  $entity: String!, $project: String!, $filters: JSONString, $order: String, $first: Int!, $after: String
) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, order: $order, first: $first, after: $after) {
      edges { cursor }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""

SWEEPS = (
    """
query MirrorSweeps($entity: String!, $project: String!, $first: Int!, $after: String) {
  project(name: $project, entityName: $entity) {
    sweeps(first: $first, after: $after) {
      edges { cursor node { ...SweepFields } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""
    + SWEEP_FIELDS
)


@cache
def operation_name(document: str) -> str:
    """The name behind `query` or `mutation`; the request carries it beside the document."""
    found = re.search(r"\b(?:query|mutation)\s+(\w+)", document)
    if found is None:
        raise ValueError("the document has no named operation")
    return found[1]


DOCUMENTS: Mapping[str, str] = MappingProxyType(
    {
        "VIEWER": VIEWER,
        "PING": PING,
        "FEATURES": FEATURES,
        "SELF": SELF,
        "PROJECTS": PROJECTS,
        "PROJECT": PROJECT,
        "RUNS": RUNS,
        "RUNS_WITH_CONTENTS": RUNS_WITH_CONTENTS,
        "RUN": RUN,
        "RUN_CURSORS": RUN_CURSORS,
        "BARE_CURSORS": BARE_CURSORS,
        "SWEEPS": SWEEPS,
    }
)
