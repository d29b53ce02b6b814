"""How aliases and tags of a version are changed upstream, and which a link gives."""

from __future__ import annotations

from typing import Any

from mirror.api.client import Client
from mirror.records.artifacts import COMMITTED
from mirror.records.operations import EditArtifact, LogArtifact, UseArtifact
from mirror.replay.decide import Marks, unmet


async def send_marks(client: Client, operation: EditArtifact, marks: Marks | None) -> dict[str, Any]:
    """Send what is not so yet; once more, where an answer was lost, changes nothing.

    Args:
        client: of the server.
        operation: what shall be.
        marks: what the version was called just now.

    Returns:
        What was sent, as plain values.
    """
    marks = marks or Marks(state=COMMITTED)
    rest = unmet(operation, marks)
    entity, project, _ = operation.name.split("/", 2)
    if rest.add_aliases or rest.remove_aliases:
        await client.change_aliases(
            operation.artifact_id,
            (entity, project, operation.collection),
            add=rest.add_aliases,
            remove=rest.remove_aliases,
            before=marks.aliases,
        )
    if rest.add_tags or rest.remove_tags:
        await client.change_artifact_tags(operation.artifact_id, add=rest.add_tags, remove=rest.remove_tags)
    names = ("add_aliases", "remove_aliases", "add_tags", "remove_tags")
    changed = {name: list(getattr(rest, name)) for name in names}
    return {"artifact": operation.name, **{name: values for name, values in changed.items() if values}}


def marks_of(link: LogArtifact | UseArtifact) -> tuple[EditArtifact, ...]:
    """The aliases and tags that a link gives its version."""
    if not isinstance(link, LogArtifact) or not (link.aliases or link.tags):
        return ()
    given = EditArtifact(
        artifact_id=link.artifact_id, name=link.name, type=link.type, add_aliases=link.aliases, add_tags=link.tags
    )
    return (given,)
