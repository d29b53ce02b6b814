"""What is not in the mirror, and what only the server can do, as errors that a script for the SDK catches, too."""

from __future__ import annotations

from mirror.errors import CommError, NotMirrored
from mirror.texts.typed_paths import in_shell

_ASK_THE_SERVER = "use wandb.Api() for it, where the server can be reached"


class ProjectNotMirrored(NotMirrored, ValueError):
    """A project is not in this mirror; a `ValueError`, as the SDK raises for one that does not exist."""


class FieldNotMirrored(NotMirrored, AttributeError):
    """A field that the server has is not mirrored; an `AttributeError`, so that `hasattr` says no."""


class SweepNotMirrored(NotMirrored, ValueError):
    """A sweep is not in this mirror; a `ValueError`, as the SDK raises for one that does not exist."""


class CollectionNotMirrored(NotMirrored, ValueError):
    """No version of an artifact or of a type is in this mirror; a `ValueError`, as the SDK raises for a missing one."""

    @classmethod
    def of(cls, entity: str, project: str, message: str) -> CollectionNotMirrored:
        """The error for a type or a collection of a project, in the SDK's words."""
        typed = in_shell(entity, project)
        hint = f"none is in this mirror: `wandb-mirror pull --source {typed}` fetches what its runs have"
        return cls(message, hint=hint)


class ArtifactFinalizedError(CommError, ValueError):
    """A version of an artifact cannot be changed; W&B's SDK has an error of this name, too."""


def only_server_knows(what: str) -> NotMirrored:
    """The error for what no pull fetches.

    Args:
        what: in words that "not mirrored" completes: `teams are`.
    """
    return NotMirrored(f"{what} not mirrored: only the server knows", hint=_ASK_THE_SERVER)


def unmirrored_field(name: str, owner: object) -> FieldNotMirrored:
    """The error for a field that no pull fetches."""
    return FieldNotMirrored(f"{name} of {owner} is not mirrored", hint=_ASK_THE_SERVER)


def only_server_can(what: str) -> CommError:
    """The error for a change that the outbox has no operation for: nothing was queued.

    Args:
        what: in words that "needs the server" completes: `creating a team`.
    """
    return CommError(f"{what} needs the server: it cannot be queued, and nothing was", hint=_ASK_THE_SERVER)


def finished(artifact: object, what: str) -> ArtifactFinalizedError:
    """The error for a change of a version's files."""
    return ArtifactFinalizedError(
        f"{what}: {artifact} is saved, and a version never changes",
        hint="make a new version with wandb.Artifact and wandb.init(mode='offline'), and sync it later",
    )
