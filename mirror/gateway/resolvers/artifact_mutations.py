"""Changes that concern artifacts: a run uses or logs a version that exists, which may give it aliases and tags.

The outbox has no bytes of a new version, and no operation that takes an alias away or changes what a version says of
itself: these are refused in one sentence, as `mirror.Run` and `mirror.Artifact` refuse them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from mirror.gateway.artifacts import VersionNode, version_by_id, version_nodes, versions_of
from mirror.gateway.context import RequestContext
from mirror.gateway.mutations import changed_run, mutation
from mirror.gateway.resolvers.version_mutations import begin_version
from mirror.gateway.run_changes import queue
from mirror.gateway.runs import RunNode, parsed
from mirror.gateway.training import STATUS
from mirror.records.addresses import RunPath
from mirror.records.operations import LogArtifact, UseArtifact
from mirror.store.read.artifacts import runs_of_version
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.resolvers import Resolvers


def _use(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    node = changed_run(ctx, RunPath(given["entityName"], given["projectName"], given["runName"]))
    version = version_by_id(ctx, given["artifactID"])
    facts = version.facts
    used_as = given.get("usedAs") or facts.name
    queue(ctx.mirror, node, UseArtifact(artifact_id=facts.id, name=facts.qualified_name, use_as=used_as))
    return {"artifact": version}


def _create(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    """Let a run log a version whose contents exist."""
    names = given.get("artifactCollectionNames") or [given.get("artifactCollectionName")]
    project = (given["entityName"], given["projectName"])
    version = _of_digest(ctx, project, (given["artifactTypeName"], names[0] or ""), given)
    if version is None and (begun := begin_version(ctx, given)) is not None:
        return {"artifact": begun}
    if version is None or not given.get("runName"):
        raise RequestRefused(
            f"wandb-mirror cannot queue a new version of the artifact {names[0]!r}: it can when a run logs one that is"
            " mirrored; log it when the W&B server is reached again",
            status=STATUS,
        )
    node = changed_run(ctx, RunPath(*project, given["runName"]))
    aliases = [alias["alias"] for alias in given.get("aliases") or ()]
    return {"artifact": _log(ctx, node, version, aliases, _tag_names(given.get("tags")))}


def _add_aliases(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    version = version_by_id(ctx, given["artifactID"])
    for alias in given["aliases"]:
        if (alias["entityName"], alias["projectName"]) != version.collection.project or (
            alias["artifactCollectionName"] != version.row.sequence
        ):
            _refuse(version, "aliases of other collections than its own")
    _log(ctx, _logger(ctx, version), version, [alias["alias"] for alias in given["aliases"]], [])
    return {"success": True}


def _update(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    """Tags and aliases that are added; what else is sent must be as it is, for the SDK sends it all."""
    version = version_by_id(ctx, given["artifactID"])
    row, facts = version.row, version.facts
    if given.get("description") not in (None, row.description):
        _refuse(version, "its description")
    if given.get("metadata") is not None and parsed(given["metadata"]) != parsed(row.metadata):
        _refuse(version, "its metadata")
    if (given.get("ttlDurationSeconds") or 0) > 0:
        _refuse(version, "how long it is kept")
    if set(_tag_names(given.get("tagsToDelete"))) & set(facts.tags):
        _refuse(version, "tags that are taken away")
    aliases = [alias["alias"] for alias in given.get("aliases") or ()]
    if given.get("aliases") is not None and set(facts.aliases) - {"latest"} - set(aliases):
        _refuse(version, "aliases that are taken away")
    aliases = [alias for alias in aliases if alias not in facts.aliases]
    tags = [tag for tag in _tag_names(given.get("tagsToAdd")) if tag not in facts.tags]
    if not aliases and not tags:
        return {"artifact": version}
    return {"artifact": _log(ctx, _logger(ctx, version), version, aliases, tags)}


def _log(
    ctx: RequestContext, node: RunNode, version: VersionNode, aliases: Sequence[str], tags: Sequence[str]
) -> VersionNode:
    """Queue that a run logged a version; the version as it will be."""
    facts = version.facts
    operation = LogArtifact(
        artifact_id=facts.id,
        name=facts.source_qualified_name,
        collection=version.row.sequence,
        type=facts.type,
        digest=facts.digest,
        digest_algorithm=facts.digest_algorithm,
        aliases=tuple(aliases),
        tags=tuple(tags),
    )
    queue(ctx.mirror, node, operation)
    ctx.renew()
    return version_by_id(ctx, facts.id)


def _of_digest(
    ctx: RequestContext, project: tuple[str, str], collection: tuple[str, str], given: Mapping[str, Any]
) -> VersionNode | None:
    """The newest version of a collection with these contents."""
    found = version_nodes(ctx, versions_of(ctx, project).get(collection, ()))
    return next((node for node in found if node.row.digest == given["digest"]), None)


def _logger(ctx: RequestContext, version: VersionNode) -> RunNode:
    """The run that logged a version: W&B gives aliases and tags to what a run logs."""
    for path in runs_of_version(ctx.lake, version.row.artifact_id, "logged"):
        if (path.entity, path.project) == version.collection.project:
            return changed_run(ctx, path)
    raise RequestRefused(
        f"wandb-mirror cannot change {version.facts.source_qualified_name}: no run of this mirror logged it",
        status=STATUS,
    )


def _refuse(version: VersionNode, what: str) -> NoReturn:
    raise RequestRefused(
        f"wandb-mirror cannot queue this change of {version.facts.source_qualified_name}: {what}; the W&B server alone"
        " can do it",
        status=STATUS,
    )


def _tag_names(tags: Sequence[Mapping[str, str]] | None) -> list[str]:
    return [tag["tagName"] for tag in tags or ()]


RESOLVERS: Resolvers = {
    "Mutation.useArtifact": mutation(_use),
    "Mutation.createArtifact": mutation(_create),
    "Mutation.addAliases": mutation(_add_aliases),
    "Mutation.updateArtifact": mutation(_update),
}
