"""The forms in which people write the path of a run, a sweep or a project to the SDK's `Api`."""

from __future__ import annotations

from collections.abc import Callable

from mirror.records.addresses import RunPath
from mirror.texts.typed_paths import id_of_typed

Known = Callable[
    [], tuple[str | None, str | None]
]  # entity and project of what is mirrored, where that leaves no choice


def parse_path(path: str, *, entity: str | None, project: str | None, default: Known) -> RunPath:
    """Entity, project and id out of `entity/project/runs/id`, `entity/project/id`, `entity/project:id`, `project/id`,
    `project:id` or `id`.

    Args:
        path: surrounding blanks and slashes do not matter, unless they are percent-encoded: `%20`, `%2F`. `/runs/` and
            `/sweeps/` inside it are dropped.
        entity: stands in where the path names none.
        project: stands in where the path names none.
        default: asked when one of the two is needed and not given.

    Raises:
        ValueError: a part is missing; the message says which.
    """
    parts = path.replace("/runs/", "/").replace("/sweeps/", "/").strip("/ ").split("/")
    if len(parts) == 4 and parts[2] == "runs":
        del parts[2]
    if len(parts) < 3 and ":" in parts[-1]:
        parts[-1:] = parts[-1].split(":", 1)
    if len(parts) > 3:
        raise ValueError(f"Invalid path: {path!r} (write entity/project/run_id)")
    given: list[str | None] = [entity, project]
    missing = 3 - len(parts)
    if not all(given[:missing]):
        given = [chosen or known for chosen, known in zip(given, default(), strict=True)]
    found = [*(part or "" for part in given[:missing]), *parts]
    for name, part in zip(("entity", "project", "id"), found, strict=True):
        if not part.strip():
            raise ValueError(f"Invalid path: {path!r} (missing {name})")
    return RunPath(found[0].strip(), found[1].strip(), id_of_typed(found[2].strip()))


def parse_project_path(path: str | None, *, entity: str | None, project: str | None, default: Known) -> tuple[str, str]:
    """Entity and project out of `entity/project` or `project`; what is left out is stood in for.

    Raises:
        ValueError: there is no entity, or no project.
    """
    parts = path.split("/", 1) if path else []
    given: list[str | None] = [entity, project]
    missing = 2 - len(parts)
    if not all(given[:missing]):
        given = [chosen or known for chosen, known in zip(given, default(), strict=True)]
    found = [*(part or "" for part in given[:missing]), *parts]
    for name, part in zip(("entity", "project"), found, strict=True):
        if not part:
            raise ValueError(f"Invalid path: {path!r} (missing {name})")
    return found[0], found[1]


def parse_artifact_path(name: str, *, entity: str | None, project: str | None, default: Known) -> tuple[str, str, str]:
    """Entity, project and `collection:version` out of `entity/project/collection:version`; an alias may hold slashes.

    Raises:
        ValueError: it is no path, or there is no entity.
    """
    if not name:
        raise ValueError("You must specify name= to fetch an artifact.")
    place, mark, alias = name.partition(":")
    parts = place.split("/")
    if len(parts) > 3 or not all(parts):
        raise ValueError(f"Invalid artifact path: {name!r}")
    given: list[str | None] = [entity, project]
    given = [*given[: 3 - len(parts)], *parts[:-1]]
    if not all(given):
        given = [chosen or known for chosen, known in zip(given, default(), strict=True)]
    if not given[0]:
        raise ValueError("Could not determine entity. Please include the entity as part of the artifact name path.")
    return given[0], given[1] or "uncategorized", f"{parts[-1]}{mark}{alias}"
