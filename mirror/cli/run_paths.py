"""How people name a run: by its path, or by whatever of it names just one of the mirror."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import unquote

from mirror.cli.setting import Setting
from mirror.cli.terminal.times import clock_text
from mirror.cluster.place import has_lake
from mirror.config import SourceSettings
from mirror.errors import AmbiguousName, ConfigError, MirrorError, NotMirrored
from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.records.addresses import RunPath
from mirror.run.naming import near_projects
from mirror.store.engine.reader import Reader
from mirror.store.read.names import LISTED, NamedRun, display_names, runs_named, similar_runs
from mirror.store.read.runs import is_held
from mirror.texts.typed_paths import id_of_typed, in_shell, typed_of_id
from mirror.texts.visible import visible, visible_name

_FORMS = "ENTITY/PROJECT/RUN_ID, its web address, or an id or a name that just one mirrored run has"
_NO_PATTERNS = "a pattern stands for no run: `wandb-mirror runs` lists them"
SHOWN = 8  # runs that fit, listed one by one


def find_run(text: str, setting: Setting, *, whole: bool = False) -> RunPath:
    """The run that a person means.

    A whole path is taken as it is, and so is the id of a run of the one source that is mirrored or queued. Else the
    mirror is asked: `PROJECT/NAME` or `NAME`, where NAME is a run id, a display name, or the beginning of either that
    no other run shares. Display names have no case.

    Args:
        text: as typed or copied.
        setting: the home to look in, and the configured sources.
        whole: for what changes a run: the beginning of a name is not enough.

    Raises:
        AmbiguousName: several runs fit.
        ConfigError: it names no run.
        NotMirrored: no run of this mirror fits.
    """
    if not text.strip(" /:"):  # a variable of a shell that is not set
        raise ConfigError("no run is named: the name is empty", hint=f"write {_FORMS}")
    with contextlib.suppress(ConfigError):
        return parse_run_path(text)
    typed: RunPath | None = None
    with contextlib.suppress(ConfigError):  # the id of a run of the one source, which may not be mirrored yet
        typed = parse_run_path(text, setting.config.source)
    *outer, name = [part for part in text.strip().strip("/").replace(":", "/").split("/") if part] or [""]
    if not name or len(outer) > 1 or not has_lake(setting.home):
        return typed or parse_run_path(text, setting.config.source)
    with Reader(setting.home) as lake:
        if typed is not None and (is_held(lake, typed) or Outbox(setting.home).of_run(typed)):
            return typed
        found = runs_named(lake, id_of_typed(name), project=outer[0] if outer else None, whole=whole)
        found = found or (runs_named(lake, text, whole=whole) if outer else [])  # a display name with a slash in it
        if len(found) == 1:
            return found[0].run_path
        if found:
            count = f"{LISTED} runs or more" if len(found) == LISTED else f"{len(found)} runs"
            raise AmbiguousName(f"{text!r} fits {count}", hint=f"name one of them:\n{_listed(found)}")
        if typed is not None and not _is_pattern(name):
            return typed
        near = similar_runs(lake, name, project=outer[0] if outer else None)
    hint = f"did you mean\n{_listed(near)}" if near else f"write {_FORMS}"
    if _is_pattern(name):
        hint = _NO_PATTERNS
    raise NotMirrored(f"{text!r} does not name a run of this mirror", hint=hint)


def refuse_unlisted(home: Home, path: RunPath) -> None:
    """Do not say of a run that it has no files where a pull could not list them.

    Raises:
        NotMirrored: with the reason.
    """
    from mirror.run.file_names import files_not_held
    from mirror.run.pending.local import LocalMirror
    from mirror.run.run import Run  # here: few runs have no files

    local = LocalMirror(home)
    try:
        error = files_not_held(Run(local, path))
    finally:
        local.reader.close()
    if error is not None:
        raise error


def _is_pattern(name: str) -> bool:
    return bool(set("*?") & set(name))


def shown_names(home: Home, runs: Sequence[RunPath]) -> dict[RunPath, str]:
    """What people call some runs: the display name, where it tells them apart, else the id; both where they differ.

    Args:
        home: the mirror.
        runs: their paths, in the order of the answer.
    """
    with Reader(home) as lake:
        shown = display_names(lake, runs)
    names = {run: visible(shown.get(run) or typed_of_id(run[2])) for run in runs}
    alike = Counter(names.values())
    return {run: name if alike[name] == 1 else f"{name} ({typed_of_id(run[2])})" for run, name in names.items()}


def _listed(runs: Sequence[NamedRun]) -> str:
    """Runs with what tells them apart, a line each."""
    lines = [
        f"  {run.run_path.key}/{typed_of_id(run.run_id)}  {visible_name(run.display_name or '')}"
        f"  {run.state or ''}  {clock_text(run.created_at, timespec='minutes') if run.created_at else ''}".rstrip()
        for run in runs[:SHOWN]
    ]
    return "\n".join([*lines, *([f"  … and {len(runs) - SHOWN} more"] if len(runs) > SHOWN else [])])


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


def not_mirrored(path: RunPath, home: Home) -> NotMirrored:
    """The error for a run that is not held, with those that may be meant."""
    typed = f"{path.key}/{typed_of_id(path.run_id)}"
    near = ""
    with contextlib.suppress(MirrorError), Reader(home) as lake:
        entity, project, name = path
        runs = runs_named(lake, name, project=project, entity=entity)
        runs = runs or similar_runs(lake, name, project=project, entity=entity)
        near = _listed(runs) or "\n".join(f"  {one}/…" for one in near_projects(lake, entity, project))
    hint = _NO_PATTERNS if _is_pattern(path.run_id) else f"fetch it with `wandb-mirror pull {in_shell(*path)}`"
    return NotMirrored(f"run {typed} is not in this mirror", hint=f"{hint}, or did you mean\n{near}" if near else hint)
