"""What servers of earlier years lack, as data.

2023 is read from the types that W&B's web client of April 2023 was generated with. 2024 and 2021 are inferred: from
what the SDK of those years asked for, and from what it probed before asking.
A reference is spelled as `pruning` takes it: `Type`, `Type.field`, `Type.field(argument)` or `InputType.field`.
"""

from __future__ import annotations

from typing import Literal

Age = Literal["now", "2024", "2023", "2021"]

_SINCE_2025 = frozenset(
    {
        "ServerInfo.features",
        "Mutation.updateRunState",
        "Mutation.markRunFilesUploaded",
        "Mutation.enqueueSweepRun",
        "Run.history(maxKeyLimit)",
        "Run.logLines(useImprovedPagination)",
        "LogLine.label",
        "FileConnection.totalCount",
        "Project.sweeps(filters)",
        "Project.artifactTypes(includeAll)",
        "Project.artifactCollectionMembership",
        "Artifact.tags",
        "Artifact.digestAlgorithm",
        "ArtifactSequence.digestAlgorithm",
        "ArtifactCollectionMembership.files",
        "AdvancedRegistryFeatures",
        "CreateArtifactFileSpecInput.digest",
        "CreateArtifactFilesInput.digestAlgorithm",
        "CreateArtifactInput.storageRegion",
        "CreateArtifactInput.tags",
        "Entity.artifactCollections(projectFilters)",
        "Entity.artifactMemberships",
        "Entity.entityType",
        "Entity.projects(filters)",
        "Entity.xxhashDigestsEnabled",
        "LinkArtifactPayload.artifactMembership",
        "Mutation.createArtifactCollectionTagAssignments",
        "Mutation.createProjectMembers",
        "Mutation.deleteArtifactCollectionTagAssignments",
        "Mutation.deleteProjectMembers",
        "Mutation.updateProjectMember",
        "Mutation.updateProjectTeamMember",
        "Organization.coreWeaveOrganizationId",
        "Organization.featureFlags",
        "Project.allowAllArtifactTypesInRegistry",
        "Project.members",
        "Project.teamMembers",
        "UpdateArtifactInput.tagsToAdd",
        "UpdateArtifactInput.tagsToDelete",
        "UseArtifactInput.artifactEntityName",
        "UseArtifactInput.artifactProjectName",
    }
)

_SINCE_2024 = frozenset(
    {
        "Run.parquetHistory",
        "Mutation.createRunFiles",
        "Mutation.rewindRun",
        "Mutation.completeMultipartUploadArtifact",
        "Project.internalId",
        "Project.artifact(enableTracking)",
        "Project.artifactCollections(filters)",
        "DeleteFilesInput.projectId",
        "File.uploadMultipartUrls",
        "Artifact.filesByManifestEntries",
        "Artifact.ttlDurationSeconds",
        "Artifact.ttlIsInherited",
        "CreateArtifactFileSpecInput.uploadPartsInput",
        "CreateArtifactInput.ttlDurationSeconds",
        "UpdateArtifactInput.ttlDurationSeconds",
        "Entity.project",
        "Organization.orgEntity",
        "UpsertModelInput.allowAllArtifactTypesInRegistry",
        "UpsertModelInput.artifactTypes",
        "UpsertModelInput.icon",
        "UpsertModelInput.owner",
        "UpsertModelInput.rateLimits",
        "UpsertSweepInput.templateVariableValues",
    }
)

_SINCE_2022 = frozenset(
    {
        "Run.updatedAt",
        "Run.deletedAt",
        "Run.computeSeconds",
        "Run.fileCount",
        "Run.pendingUpdates",
        "Run.projectId",
        "Run.storageBytes",
        "RunConnection.delta",
        "RunConnection.totalCount",
        "RunConnection.totalCountApprox",
        "Project.artifactCollection",
        "Project.artifactCollections",
        "Project.lastActive",
        "Project.runKeySuggestions",
        "Project.storageBytes",
        "Project.totalSweeps",
        "Query.artifactCollection",
        "ServerInfo.frontendHost",
        "ServerInfo.messageOfTheDay",
        "ServerInfo.pollingOK",
        "Sweep.displayName",
        "Sweep.runCountExpected",
        "Artifact.artifactMemberships",
        "Artifact.fileCount",
        "Artifact.historyStep",
        "Artifact.updatedAt",
        "ArtifactSequence.artifactMembership",
        "ArtifactPortfolio.artifactMembership",
        "ArtifactCollection.artifactMembership",
        "CreateArtifactInput.historyStep",
        "Mutation.undeleteRuns",
        "UpsertSweepInput.displayName",
        "UseArtifactInput.usedAs",
    }
)

LACKS: dict[Age, frozenset[str]] = {
    "now": frozenset(),
    "2024": _SINCE_2025,
    "2023": _SINCE_2025 | _SINCE_2024,
    "2021": _SINCE_2025 | _SINCE_2024 | _SINCE_2022,
}
"""References that a server of each age does not know."""

LEGACY_LACKS = frozenset(
    {
        "ServerInfo.features",
        "FileConnection.totalCount",
        "Artifact.digestAlgorithm",
        "Mutation.markRunFilesUploaded",
        "Mutation.updateRunState",
        "Mutation.enqueueSweepRun",
        "Run.logLines(useImprovedPagination)",
        "Project.sweeps(filters)",
    }
)
"""A server without features and what came with them, else as now (W&B API notes, section 3)."""
