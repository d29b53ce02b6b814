"""Runs and projects of a mirror by what people call them, and what a slip may be meant for."""

from __future__ import annotations

from mirror.errors import CommError, NotMirrored
from mirror.records.addresses import RunPath
from mirror.run.pending.local import LocalMirror
from mirror.run.sdk.absent import ProjectNotMirrored
from mirror.store.engine.queries import Queryable
from mirror.store.read.names import NamedRun, runs_named, similar_runs
from mirror.store.read.projects import mirrored_projects
from mirror.texts.naming import NEAR, near
from mirror.texts.typed_paths import id_of_typed, in_shell, typed_of_id
from mirror.texts.visible import visible, visible_name

SHOWN = 8  # runs that are listed where several fit


def named_run(
    local: LocalMirror, text: str, *, entity: str | None = None, project: str | None = None
) -> RunPath | None:
    """The one mirrored run that has a name: its id or its display name, whole, after its project or alone.

    A beginning is not enough: a program means the same run tomorrow.

    Args:
        local: the mirror.
        text: `NAME` or `PROJECT/NAME`.
        entity: only there.
        project: only there, where the text names none.

    Returns:
        None where no run has it.

    Raises:
        CommError: several runs have it; they are listed.
    """
    *outer, name = text.strip("/ ").replace(":", "/").split("/")
    if not name or len(outer) > 1:
        return None
    place = outer[0] if outer else project
    try:
        found = runs_named(local.reader, id_of_typed(name), project=place, entity=entity, whole=True)
    except NotMirrored:  # nothing was pulled yet
        return None
    if len(found) > 1:
        listed = ", ".join(map(_called, found[:SHOWN]))
        more = ", …" if len(found) > SHOWN else ""
        raise CommError(f"{text!r} fits {len(found)} runs: {listed}{more}", hint="write entity/project/run_id")
    return found[0].run_path if found else None


def near_runs(lake: Queryable, path: RunPath) -> list[str]:
    """What a path that no run has may be meant for, the likest first: runs, else projects that are written so."""
    runs = runs_named(lake, path[2], project=path[1], entity=path[0]) or similar_runs(
        lake, path[2], project=path[1], entity=path[0]
    )
    return [_called(run) for run in runs[:NEAR]] or [f"{project}/…" for project in near_projects(lake, *path[:2])]


def near_projects(lake: Queryable, entity: str, project: str) -> list[str]:
    """The projects that may be meant by one that is not mirrored, the likest first; of this name, in other entities."""
    known = mirrored_projects(lake)
    if (entity, project) in known:
        return []
    alike = [f"{one}/{name}" for one, name in known if name == project]
    return [
        visible(name) for name in alike[:NEAR] or near(f"{entity}/{project}", [f"{one}/{name}" for one, name in known])
    ]


def project_not_mirrored(local: LocalMirror, entity: str, project: str, message: str) -> ProjectNotMirrored:
    """The error for a project, in the SDK's words, with the command that would fetch it, and what may be meant."""
    hint = f"it is not in this mirror: `wandb-mirror pull --source {in_shell(entity, project)}` fetches it"
    return ProjectNotMirrored(message, hint=or_near(local, hint, (entity, project)))


def or_near(local: LocalMirror, hint: str, path: RunPath | tuple[str, str]) -> str:
    """A hint, and behind it what a run or a project that is not mirrored may be meant for."""
    try:
        found = near_runs(local.reader, path) if isinstance(path, RunPath) else near_projects(local.reader, *path)
    except NotMirrored:  # nothing was pulled yet
        return hint
    return f"{hint}; did you mean {' or '.join(found)}?" if found else hint


def _called(run: NamedRun) -> str:
    name = f" ({visible_name(run.display_name)})" if run.display_name and run.display_name != run.run_id else ""
    return f"{visible(f'{run.run_path.key}/{typed_of_id(run.run_id)}')}{name}"
