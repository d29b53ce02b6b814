"""What the gateway does not answer: each such field is refused in one sentence, and never empty."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

from graphql import GraphQLObjectType, GraphQLSchema

from mirror.gateway.training import OF_AGENTS, TrainingRefused
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Resolver

# Types whose values are mappings that hold every field.
PLAIN = frozenset(
    {
        "PageInfo", "ServerFeature", "EntityConnection", "EntityEdge", "IntRange", "ProjectConnection", "ProjectEdge",
        "RunConnection", "RunEdge", "RunDiff", "ArtifactConnection", "InputArtifactConnection", "ArtifactEdge",
        "VersionedArtifactConnection", "VersionedArtifactEdge", "ArtifactTypeConnection", "ArtifactTypeEdge",
        "ArtifactCollectionConnection", "ArtifactCollectionEdge", "ArtifactAliasConnection", "ArtifactAliasEdge",
        "ArtifactAlias", "TagConnection", "TagEdge", "Tag", "SweepConnection", "SweepEdge", "ParquetHistory",
        "LogLine", "LogLineConnection", "LogLineEdge", "FileConnection", "FileEdge", "RunTagCount", "RunInfo",
        "GitInfo",
        "UpsertBucketPayload", "UpdateRunStatePayload", "StopRunPayload", "DeleteRunPayload", "DeleteRunsPayload",
        "ModifyRunsPayload", "CreateRunFilesPayload", "MarkRunFilesUploadedPayload", "DeleteFilesPayload",
        "UseArtifactPayload", "CreateArtifactPayload", "AddAliasesPayload", "DeleteAliasesPayload",
        "UpdateArtifactPayload", "CreateArtifactManifestPayload", "UpdateArtifactManifestPayload",
        "CreateArtifactFilesPayload", "CommitArtifactPayload",
    }
)  # fmt: skip


def refuse_the_rest(schema: GraphQLSchema) -> None:
    """Give a resolver that refuses to every field that has none."""
    for kind in schema.type_map.values():
        if not isinstance(kind, GraphQLObjectType) or kind.name.startswith("__") or kind.name in PLAIN:
            continue
        for name, field in kind.fields.items():
            if field.resolve is None:
                is_change = kind is schema.mutation_type
                field.resolve = _refusal(name if is_change else f"{kind.name}.{name}", is_change=is_change)


# Words for what clients are known to ask; whatever else there is not is told alike, by its own name.
_SUBJECTS = {
    "workspaces and reports": ("view", "views", "allViews", "upsertView", "createView", "deleteView"),
    "automations and integrations": ("triggers", "integrations", "createFilterTrigger", "updateFilterTrigger"),
}
_LACKS = (  # the likeliest to say what a document is about first
    re.compile(r'Cannot query field "(?P<name>\w+)" on type "(?P<type>\w+)"'),
    re.compile(r'Unknown type "(?P<name>\w+)"'),
    re.compile(r'Unknown argument "(?P<name>\w+)" on field "\w+" of type "(?P<type>\w+)"'),
)
_MISTYPED = "Did you mean "


def absent_subject(messages: Sequence[str]) -> str | None:
    """One sentence for a document about something that the schema knows nothing of, instead of all that it lacks.

    Args:
        messages: why the document was refused. Those that name something near are about a mistyped name, except
            below the roots: a whole subject may be absent there, and something else be called like it.
    """
    lacks = [(found, message) for pattern in _LACKS for message in messages if (found := pattern.match(message))]
    for found, _ in lacks:
        for subject, names in _SUBJECTS.items():
            if found["name"] in names:
                return f"{found[0]}: {subject} are not mirrored, only the W&B server has them"
    for found, message in lacks:
        if _MISTYPED not in message or found.groupdict().get("type") in ("Query", "Mutation"):
            return f"{found[0]}: wandb-mirror does not have this, only the W&B server may"
    return None


def _refusal(name: str, *, is_change: bool) -> Resolver:
    if name in OF_AGENTS:
        return _refuse_agent
    text = (
        f"{name} is not possible here: wandb-mirror cannot queue it, and only the W&B server can do it"
        if is_change
        else f"{name} is not mirrored: only the W&B server knows it"
    )

    def refuse(_source: Any, _info: Any, **_arguments: Any) -> NoReturn:
        raise RequestRefused(text)

    return refuse


def _refuse_agent(_source: Any, _info: Any, **_arguments: Any) -> NoReturn:
    raise TrainingRefused
