"""`wandb-mirror checkout`: the files of a run, written out under their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mirror.cli.names import the_one
from mirror.cli.run_paths import find_run, not_mirrored, refuse_unlisted
from mirror.cli.setting import find_setting, setting_options
from mirror.cli.terminal.output import UTF8, print_json, say, size, write
from mirror.cli.terminal.statuses import exit_statuses
from mirror.errors import EXIT_PARTIAL, ConfigError
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.records.passes import FILES, in_part
from mirror.store.engine.reader import Reader
from mirror.store.objects.checkout import HeldBytes, Written, check_out
from mirror.store.objects.objects import Objects
from mirror.store.read.artifacts import files_of_artifact, version_names
from mirror.store.read.failures import why_failed
from mirror.store.read.files import ListedBytes, files_of_run
from mirror.store.read.runs import is_held
from mirror.texts.amounts import plural
from mirror.texts.paths import why_refused
from mirror.texts.typed_paths import in_shell


@click.command("checkout", epilog=exit_statuses(5, 9))
@setting_options
@click.argument("run", type=UTF8)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False, metavar="[DIR]")
@click.option("--artifact", type=UTF8, metavar="NAME:vN", help="The files of this artifact of the run instead.")
@click.option("--force", is_flag=True, help="Replace files that are there with other bytes.")
@click.option("--link", is_flag=True, help="Hard links to the mirror's read-only bytes, instead of copies.")
@click.option("--gone", is_flag=True, help="Also files that were deleted upstream.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/json.md).")
def command(
    home: str | None,
    config: str | None,
    run: str,
    folder: Path | None,
    artifact: str | None,
    force: bool,
    link: bool,
    gone: bool,
    as_json: bool,
) -> int:
    """Write the mirrored files of a run into DIR, else into ./RUN_ID. Asks the mirror alone, never the network.

    Files whose names would leave the folder, that it cannot hold, or that hold control characters, are written into
    odd-names/ under names that stand for them; odd-names.json says which. Files that are there stay: equal ones are
    left alone, others are skipped unless --force is given.
    """
    setting = find_setting(home, config)
    path = find_run(run, setting)
    target = folder if folder is not None else _default_folder(path.run_id, artifact)
    listed, unlisted = _listed(setting.home, path, artifact, gone=gone)
    if not listed and artifact is None:
        refuse_unlisted(setting.home, path)
    held = [HeldBytes(name=file.name, object=file.object) for file in listed if file.object is not None]
    absent = [file for file in listed if file.object is None or file.status == "failed"]
    done: list[Written] = []
    if held:
        for written in check_out(Objects(setting.home), held, target, force=force, link=link, rename=True):
            done.append(written)
            if not as_json and written.outcome in {"written", "linked"}:
                name = written.path or written.name
                write(name if name.isprintable() else repr(name))
    if as_json:
        print_json(_as_json(path, target, done, absent))
    _conclude(done, absent, unlisted, target, path.run_id, quiet=as_json)
    skipped = any(file.outcome == "skipped" for file in done)
    is_partial = skipped or unlisted is not None or any(file.status == "failed" for file in absent)
    return EXIT_PARTIAL if is_partial else 0


def _default_folder(run_id: str, artifact: str | None) -> Path:
    """A folder here, named for what is in it.

    Raises:
        ConfigError: the id came from a server and is no name for a folder.
    """
    name = artifact.replace(":", "-") if artifact is not None else run_id
    if "/" in name or why_refused(name, shown=True) is not None:
        raise ConfigError(f"{name!r} cannot be the name of a folder", hint="name one: wandb-mirror checkout RUN DIR")
    return Path(name)


def _listed(home: Home, path: RunPath, artifact: str | None, *, gone: bool) -> tuple[list[ListedBytes], str | None]:
    """The files, and why there may be more of them: the list of a run's files could not be taken, or not whole."""
    with Reader(home) as lake:
        if not is_held(lake, path):
            raise not_mirrored(path, home)
        if artifact is None:
            return files_of_run(lake, path, gone=gone), why_failed(lake, path, [FILES, in_part(FILES)])
        found = files_of_artifact(lake, path, artifact)
        if found is None:
            hint = f"`wandb-mirror status {in_shell(*path)}` lists those it logged and used"
            name = the_one(artifact, version_names(lake, path), what=f"artifact of {path}", hint=hint)
            found = files_of_artifact(lake, path, name)
            say(f"{artifact!r} is taken for {name!r}")
    return found or [], None


def _conclude(
    done: list[Written], absent: list[ListedBytes], unlisted: str | None, target: Path, run_id: str, *, quiet: bool
) -> None:
    for file in done:
        if file.outcome == "skipped":
            say(f"skipped {file.name!r}: {file.reason}")
    renamed = [file for file in done if file.path not in (None, file.name)]
    if renamed:
        table = f"{str(renamed[0].path).partition('/')[0]}.json"
        are = "name cannot be a file's" if len(renamed) == 1 else "names cannot be those of files"
        say(f"{len(renamed):,} {are} here; {target / table} says under which they are")
    for listed in absent:
        older = " (an older version was written)" if listed.object is not None else ""
        say(f"not mirrored {listed.name!r}: {listed.reason or listed.status}{older}")
    if unlisted is not None:
        say(f"there may be more files: {unlisted}")
    if quiet:
        return
    new = [file for file in done if file.outcome in {"written", "linked"}]
    equal = sum(file.outcome == "equal" for file in done)
    same = f", {plural(equal, 'file')} there already" if equal else ""
    if not done and not absent and unlisted is None:
        say(f"{run_id} has no files")
    else:
        say(f"{plural(len(new), 'file')} ({size(sum(file.size for file in new))}) written to {target}{same}")


def _as_json(path: RunPath, target: Path, done: list[Written], absent: list[ListedBytes]) -> dict[str, Any]:
    return {
        "entity": path.entity,
        "project": path.project,
        "run_id": path.run_id,
        "folder": str(target),
        "files": [
            {"name": file.name, "outcome": file.outcome, "path": file.path, "size": file.size, "reason": file.reason}
            for file in done
        ],
        "not_mirrored": [
            {"name": file.name, "size": file.size, "status": file.status, "reason": file.reason} for file in absent
        ],
    }
