"""Changes that concern artifacts: a run uses or logs a version that exists; its aliases and tags.

The outbox has no bytes of a new version, and no operation that changes what a version says of itself: these are
refused in one sentence, as `mirror.Run` and `mirror.Artifact` refuse them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from mirror.gateway.artifacts import VersionNode, version_by_id, version_nodes, versions_of
from mirror.gateway.context import RequestContext
from mirror.gateway.mutations import Change, changed_run, mutation
from mirror.gateway.resolvers.version_mutations import begin_version
from mirror.gateway.run_changes import queue
from mirror.gateway.runs import RunNode, parsed
from mirror.gateway.training import STATUS
from mirror.records.addresses import RunPath
from mirror.records.operations import LogArtifact, UseArtifact
from mirror.run.artifacts.marking import queue_marks
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


def _change_aliases(*, is_added: bool) -> Change:
    def change(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
        version = version_by_id(ctx, given["artifactID"])
        names = [alias["alias"] for alias in given["aliases"] if _is_own(version, alias)]
        if len(names) < len(given["aliases"]):
            _refuse(version, "aliases of other collections than its own")
        _mark(ctx, version, **{"add_aliases" if is_added else "remove_aliases": names})
        return {"success": True}

    return change


def _is_own(version: VersionNode, alias: Mapping[str, str]) -> bool:
    """Whether an alias is one of the collection that a version was made in."""
    place = (alias["entityName"], alias["projectName"])
    return place == version.collection.project and alias["artifactCollectionName"] == version.row.sequence


def _update(ctx: RequestContext, given: dict[str, Any]) -> dict[str, Any]:
    """Tags and aliases; what else is sent must be as it is, for the SDK sends it all."""
    version = version_by_id(ctx, given["artifactID"])
    row, facts = version.row, version.facts
    if given.get("description") not in (None, row.description):
        _refuse(version, "its description")
    if given.get("metadata") is not None and parsed(given["metadata"]) != parsed(row.metadata):
        _refuse(version, "its metadata")
    if (given.get("ttlDurationSeconds") or 0) > 0:
        _refuse(version, "how long it is kept")
    aliases = [alias["alias"] for alias in given.get("aliases") or ()]
    lost = () if given.get("aliases") is None else set(facts.aliases) - {"latest"} - set(aliases)
    return {
        "artifact": _mark(
            ctx, version, add_aliases=aliases, remove_aliases=sorted(lost),
            add_tags=_tag_names(given.get("tagsToAdd")), remove_tags=_tag_names(given.get("tagsToDelete")),
        )
    }  # fmt: skip


def _mark(ctx: RequestContext, version: VersionNode, **changes: Sequence[str]) -> VersionNode:
    """Queue what changes of a version's aliases and tags; the version as it will be."""
    try:
        is_queued = queue_marks(ctx.mirror, ctx.lake, version.row, **changes)
    except ValueError as error:
        raise RequestRefused(str(error), status=400) from error
    if not is_queued:
        return version
    ctx.renew()
    return version_by_id(ctx, version.row.artifact_id)


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
    "Mutation.addAliases": mutation(_change_aliases(is_added=True)),
    "Mutation.deleteAliases": mutation(_change_aliases(is_added=False)),
    "Mutation.updateArtifact": mutation(_update),
}
