"""Which type each composite field of the documents has on a current server.

For servers that do not describe themselves: their refusals name types, and these say where in a document a type is
meant. A test compares them with the schema.
"""

from __future__ import annotations

from collections.abc import Mapping

_PAGES = {
    "RunConnection": "RunEdge",
    "ProjectConnection": "ProjectEdge",
    "SweepConnection": "SweepEdge",
    "FileConnection": "FileEdge",
    "ArtifactConnection": "ArtifactEdge",
    "InputArtifactConnection": "InputArtifactEdge",
    "LogLineConnection": "LogLineEdge",
}
_NODES = {
    "RunEdge": "Run",
    "ProjectEdge": "Project",
    "SweepEdge": "Sweep",
    "FileEdge": "File",
    "ArtifactEdge": "Artifact",
    "InputArtifactEdge": "Artifact",
    "LogLineEdge": "LogLine",
    "EntityEdge": "Entity",
}

# In this order a server's types are followed, so that what a run has comes before what an artifact has.
COMPOSITE: Mapping[str, Mapping[str, str]] = {
    "Query": {
        "viewer": "User",
        "serverInfo": "ServerInfo",
        "models": "ProjectConnection",
        "project": "Project",
        "artifact": "Artifact",
    },
    "Mutation": {
        "upsertBucket": "UpsertBucketPayload",
        "updateRunState": "UpdateRunStatePayload",
        "stopRun": "StopRunPayload",
        "deleteRun": "DeleteRunPayload",
        "createRunFiles": "CreateRunFilesPayload",
        "markRunFilesUploaded": "MarkRunFilesUploadedPayload",
        "deleteFiles": "DeleteFilesPayload",
        "createArtifact": "CreateArtifactPayload",
        "useArtifact": "UseArtifactPayload",
        "createArtifactManifest": "CreateArtifactManifestPayload",
        "createArtifactFiles": "CreateArtifactFilesPayload",
        "commitArtifact": "CommitArtifactPayload",
        "addAliases": "AddAliasesPayload",
        "deleteAliases": "DeleteAliasesPayload",
        "updateArtifact": "UpdateArtifactPayload",
        "rewindRun": "RewindRunPayload",
        "notifyScriptableRunAlert": "NotifyScriptableRunAlertPayload",
    },
    "UpsertBucketPayload": {"bucket": "Run"},
    "RewindRunPayload": {"rewoundRun": "Run"},
    "CreateRunFilesPayload": {"files": "File"},
    "CreateArtifactPayload": {"artifact": "Artifact"},
    "UseArtifactPayload": {"artifact": "Artifact"},
    "CreateArtifactManifestPayload": {"artifactManifest": "ArtifactManifest"},
    "CreateArtifactFilesPayload": {"files": "FileConnection"},
    "CommitArtifactPayload": {"artifact": "Artifact"},
    "UpdateArtifactPayload": {"artifact": "Artifact"},
    "User": {"teams": "EntityConnection"},
    "EntityConnection": {"edges": "EntityEdge"},
    "ServerInfo": {"features": "ServerFeature", "latestLocalVersionInfo": "LocalVersionInfo"},
    "Project": {"runs": "RunConnection", "run": "Run", "bucket": "Run", "sweeps": "SweepConnection"},
    "Run": {
        "user": "User",
        "files": "FileConnection",
        "parquetHistory": "ParquetHistory",
        "logLines": "LogLineConnection",
        "outputArtifacts": "ArtifactConnection",
        "inputArtifacts": "InputArtifactConnection",
    },
    "Artifact": {
        "artifactSequence": "ArtifactSequence",
        "artifactType": "ArtifactType",
        "aliases": "ArtifactAlias",
        "tags": "Tag",
        "currentManifest": "ArtifactManifest",
        "files": "FileConnection",
    },
    "ArtifactSequence": {"project": "Project"},
    "ArtifactAlias": {"artifactCollection": "ArtifactCollection"},
    "ArtifactManifest": {"file": "File"},
    **{name: {"edges": edge, "pageInfo": "PageInfo"} for name, edge in _PAGES.items()},
    **{name: {"node": node} for name, node in _NODES.items()},
}

INPUTS: Mapping[str, str] = {
    "upsertBucket": "UpsertBucketInput",
    "updateRunState": "UpdateRunStateInput",
    "stopRun": "StopRunInput",
    "deleteRun": "DeleteRunInput",
    "createRunFiles": "CreateRunFilesInput",
    "markRunFilesUploaded": "MarkRunFilesUploadedInput",
    "deleteFiles": "DeleteFilesInput",
    "createArtifact": "CreateArtifactInput",
    "useArtifact": "UseArtifactInput",
    "createArtifactManifest": "CreateArtifactManifestInput",
    "createArtifactFiles": "CreateArtifactFilesInput",
    "commitArtifact": "CommitArtifactInput",
    "addAliases": "AddAliasesInput",
    "deleteAliases": "DeleteAliasesInput",
    "updateArtifact": "UpdateArtifactInput",
    "rewindRun": "RewindRunInput",
    "notifyScriptableRunAlert": "NotifyScriptableRunAlertInput",
}
"""The input of each mutation."""

# Asked for along with the others, since servers use it in a place of theirs.
ALTERNATIVES = ("InputArtifactConnectionEdge",)


def type_names() -> tuple[str, ...]:
    """Every type that the documents touch, in a stable order."""
    names = {*COMPOSITE, *INPUTS.values(), *ALTERNATIVES}
    names |= {child for fields in COMPOSITE.values() for child in fields.values()}
    return tuple(sorted(names))


def composite_of(parent: str, field: str) -> str | None:
    """The type of a field's value; None for a leaf, and for what no document asks."""
    return COMPOSITE.get(parent, {}).get(field)
