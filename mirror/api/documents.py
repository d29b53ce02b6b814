"""Every GraphQL text that is ever sent, as a named constant; a test validates each against the schema.

An operation is named for what it is for, so that a server's log says who asked. Runs are always read through one
fragment: a run is the same value whichever way it was fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

# W&B API notes, section 5: light fields first, then the four heavy ones.
RUN_FIELDS = """
fragment RunFields on Run {
  id name displayName sweepName state group jobType commit readOnly tags notes description
  createdAt heartbeatAt historyLineCount projectId user { name username }
  config summaryMetrics systemMetrics historyKeys
}
"""

SWEEP_FIELDS = """
fragment SweepFields on Sweep {
  id name displayName state method description config bestLoss runCount runCountExpected
  createdAt updatedAt heartbeatAt
}
"""

VIEWER = """
query MirrorViewer {
  viewer { id username entity teams { edges { node { name } } } }
}
"""

FEATURES = """
query MirrorFeatures {
  serverInfo { features { name isEnabled } }
}
"""

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
RUNS = (
    """
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
}
"""
    + RUN_FIELDS
    + SWEEP_FIELDS
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
        operation_name(document): document
        for document in (VIEWER, FEATURES, PROJECTS, PROJECT, RUNS, RUN, RUN_CURSORS, BARE_CURSORS, SWEEPS)
    }
)
