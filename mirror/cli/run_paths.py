"""How people write the path of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from mirror.config import SourceSettings
from mirror.errors import ConfigError, NotMirrored
from mirror.records.addresses import RunPath
from mirror.run.sdk.paths import id_of_typed, typed_of_id

_FORMS = "ENTITY/PROJECT/RUN_ID, its web address, or RUN_ID alone when there is one source without a glob"


def parse_run_path(text: str, sources: Sequence[SourceSettings] = ()) -> RunPath:
    """Take a run's path apart: `e/p/id`, `e/p/runs/id`, `e/p:id`, the address of its page, or `id` alone.

    Args:
        text: as typed or copied; blanks at the ends of an id, and slashes in it, are percent-encoded.
        sources: the configured ones, for a path that leaves parts out.

    Raises:
        ConfigError: it names no run.
    """
    path = text.strip()
    if found := re.match(r"https?://[^/]+/(?P<path>[^?#]*)", path):
        path = found["path"].removeprefix("wandb/")
    parts = [part for part in path.strip("/").split("/") if part]
    if len(parts) >= 4 and parts[2] == "runs":  # a page of the run may follow: /overview, /logs
        parts = [*parts[:2], parts[3]]
    if len(parts) == 2 and ":" in parts[1]:
        parts[1:] = parts[1].split(":", 1)
    if len(parts) == 1 and parts[0] and len(sources) == 1 and not set("*?[") & set(sources[0].project):
        parts = [sources[0].entity, sources[0].project, parts[0]]
    if len(parts) != 3 or not all(parts):
        raise ConfigError(f"{text!r} does not name a run", hint=f"write {_FORMS}")
    entity, project = (unquote(part) if found else part for part in parts[:2])
    return RunPath(entity, project, id_of_typed(parts[2]))


def not_mirrored(path: RunPath) -> NotMirrored:
    """The error for a run that is not held."""
    typed = f"{path.key}/{typed_of_id(path.run_id)}"
    return NotMirrored(f"run {typed} is not in this mirror", hint=f"fetch it with `wandb-mirror pull {typed}`")
