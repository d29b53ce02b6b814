"""The fields that are asked of each thing. One fragment a thing: it is the same value whichever way it was fetched.

Fragments are written out where they stand (`fitting`), so the type that one is declared on is only a reader's help.
"""

from __future__ import annotations

# The version is that of a server of one's own; W&B's tells none.
SERVER_FIELDS = """
fragment ServerFields on ServerInfo {
  features { name isEnabled } latestLocalVersionInfo { versionOnThisInstanceString }
}
"""

# Whom a key belongs to.
VIEWER_FIELDS = """
fragment ViewerFields on User {
  id name username email admin entity teams { edges { node { name } } }
}
"""

# W&B API notes, section 5: light fields first, then the four heavy ones.
RUN_FIELDS = """
fragment RunFields on Run {
  id name displayName sweepName state group jobType commit readOnly tags notes description
  createdAt heartbeatAt updatedAt host historyLineCount projectId user { name username }
  config summaryMetrics systemMetrics historyKeys
}
"""

SWEEP_FIELDS = """
fragment SweepFields on Sweep {
  id name displayName state method description config bestLoss runCount runCountExpected
  createdAt updatedAt heartbeatAt
}
"""

FILE_FIELDS = """
fragment FilePage on FileConnection {
  edges { cursor node { id name sizeBytes md5 mimetype updatedAt directUrl } }
  pageInfo { endCursor hasNextPage }
}
"""

# No metadata: it may be large, and the same version is listed under every run that used it.
ARTIFACT_REF_FIELDS = """
fragment ArtifactPage on ArtifactConnection {
  totalCount
  edges {
    cursor
    node {
      id state digest versionIndex updatedAt
      artifactSequence { name project { name entityName } }
      artifactType { name }
      aliases { alias artifactCollection { name } }
    }
  }
  pageInfo { endCursor hasNextPage }
}
"""

ARTIFACT_FIELDS = """
fragment ArtifactFields on Artifact {
  id state digest digestAlgorithm versionIndex updatedAt
  artifactSequence { name project { name entityName } }
  artifactType { name }
  aliases { alias artifactCollection { name } }
  tags { name } metadata description size fileCount commitHash historyStep createdAt
}
"""

CONTENT_FIELDS = (
    """
fragment RunContents on Run {
  id name fileCount eventsLineCount logLineCount
  files(first: $filesFirst) { ...FilePage }
  parquetHistory(liveKeys: ["_step"]) { parquetUrls liveData }
  loggedArtifacts: outputArtifacts(first: $artifactsFirst) { ...ArtifactPage }
  usedArtifacts: inputArtifacts(first: $artifactsFirst) { ...ArtifactPage }
}
"""
    + FILE_FIELDS
    + ARTIFACT_REF_FIELDS
)

LOG_FIELDS = """
fragment LogLines on LogLineConnection {
  edges { node { number timestamp level label line } }
  pageInfo { endCursor hasNextPage }
}
"""
