"""What is not in the mirror, as errors that a script for the SDK catches, too."""

from __future__ import annotations

from mirror.errors import NotMirrored


class ProjectNotMirrored(NotMirrored, ValueError):
    """A project is not in this mirror; a `ValueError`, as the SDK raises for one that does not exist."""

    @classmethod
    def of(cls, entity: str, project: str, message: str) -> ProjectNotMirrored:
        """The error for a project, in the SDK's words, with the command that would fetch it."""
        return cls(
            message, hint=f"it is not in this mirror: `wandb-mirror pull --source {entity}/{project}` fetches it"
        )


class FieldNotMirrored(NotMirrored, AttributeError):
    """A field that the server has is not mirrored; an `AttributeError`, so that `hasattr` says no."""


class SweepNotMirrored(NotMirrored, ValueError):
    """A sweep is not in this mirror; a `ValueError`, as the SDK raises for one that does not exist."""
