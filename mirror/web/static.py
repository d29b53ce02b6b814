"""The page as files: the runs of a project, each with its own page, that open without a server and in ten years.

What a script would ask a server for is asked here, of the same functions, and kept as a script that hands the answer
over (`assets/static.js` looks it up). The folder is made beside its place, and gets its name when it is whole.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from mirror.durable import move, sync_new_files
from mirror.errors import ConfigError, MirrorError, Refused, StoreError
from mirror.gateway.addresses import Addresses, signer
from mirror.gateway.context import RequestContext
from mirror.gateway.engine import Engine
from mirror.records.addresses import ProjectKey, RunPath
from mirror.run.pending.local import LocalMirror
from mirror.store.read.files import read_files
from mirror.texts.values import dump_strict
from mirror.web.answers import artifacts, contents, curves, runs
from mirror.web.answers.one_run import EntryJson, run_answer
from mirror.web.answers.projects import projects
from mirror.web.asked import Asked
from mirror.web.shells import Shell, static_html

MOST_RUNS = 1_000
MOST_FILE = 20 << 20  # bytes of a file that is copied
_POINTS_OF_KEY = 100_000  # of all runs together
_LINES = 10_000  # of a console
_COPIED = frozenset({"image", "audio", "video", "html"})
# A file has no origin of its own: what may be loaded is what lies beside it.
POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src 'self' file: data:;"
    " media-src 'self' file:; frame-src 'self' file:; base-uri 'none'; form-action 'none'"
)
Answer = Callable[[RequestContext, Asked], Any]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is exported."""

    project: ProjectKey
    filters: dict[str, Any] = {}
    keys: tuple[str, ...] = ()  # of histories; none: all
    target: Path


def export_html(
    mirror: LocalMirror, wanted: Wanted, entry_json: EntryJson, passed: Callable[[int, int], None] = lambda _, __: None
) -> int:
    """Write the pages of a project.

    Args:
        mirror: the home.
        wanted: which runs, and where to.
        entry_json: words for what waits.
        passed: told how many runs of how many are done.

    Returns:
        How many runs were written.

    Raises:
        Refused: the folder is there, and not empty.
        ConfigError: too many runs, or none, or a filter is wrong.
        StoreError: the lake or the disk.
    """
    if wanted.target.exists() and (not wanted.target.is_dir() or any(wanted.target.iterdir())):
        raise Refused(f"{wanted.target} is there already", hint="name a folder that is not there yet")
    made = wanted.target.with_name(f".tmp-{wanted.target.name}-{secrets.token_hex(4)}")
    addresses = Addresses(base_url="", signer=signer(secrets.token_bytes(16)))
    try:
        with Engine(mirror).opened(addresses) as context:
            count = _Export(context, wanted, entry_json, made).write(passed)
        if wanted.target.exists():
            wanted.target.rmdir()
        sync_new_files(made, ())
        move(made, wanted.target)
    except OSError as error:
        raise StoreError(f"{wanted.target} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return count


class _Export:
    def __init__(self, context: RequestContext, wanted: Wanted, entry_json: EntryJson, folder: Path) -> None:
        self._context, self._wanted, self._folder = context, wanted, folder
        self._entry_json = entry_json
        self._project = str(wanted.project)
        self._as_of = ""
        self._copied: dict[str, str] = {}  # by digest, the name of a file

    def write(self, passed: Callable[[int, int], None]) -> int:
        """Write all of it; returns how many runs."""
        every = self._ask(runs.columns, project=self._project)
        names = [column["name"] for column in every["columns"]]
        table = self._ask(
            runs.runs, project=self._project, filters=json.dumps(self._wanted.filters), columns=json.dumps(names),
            limit=str(MOST_RUNS + 1),
        )  # fmt: skip
        ids = [row["id"] for row in table["rows"]]
        if not ids:
            raise ConfigError(f"no run of {self._project} is in this mirror that the filter keeps")
        if len(ids) > MOST_RUNS:
            raise ConfigError(
                f"{table['total']:,} runs are more than pages are written for ({MOST_RUNS:,})",
                hint="narrow them by --filter",
            )
        as_of = self._ask(projects)["as_of"]
        self._as_of = f"as of {as_of}" if as_of else "never pulled"
        for name in ("assets", "data", "files", "runs"):
            (self._folder / name).mkdir(parents=True)
        self._write_assets()
        keys = self._write_curves(ids)
        pages = {run_id: f"runs/{place}.html" for place, run_id in enumerate(ids)}
        self._keep("runs", {**table, "all": len(ids)})
        self._keep("columns", {"columns": every["columns"], "runs": len(ids)})
        self._keep("keys", keys)
        self._page("index.html", self._shell("project", self._project, pages=pages), "")
        for place, run_id in enumerate(ids):
            self._write_run(place, run_id)
            passed(place + 1, len(ids))
        return len(ids)

    def _write_assets(self) -> None:
        for asset in (files("mirror.web") / "assets").iterdir():
            (self._folder / "assets" / asset.name).write_bytes(asset.read_bytes())

    def _write_curves(self, ids: Sequence[str]) -> dict[str, Any]:
        """Lines of each key, of all runs; returns which run has which keys, and where the lines are."""
        by_key: dict[str, list[str]] = {}
        for run_id in ids:
            for one in self._ask(runs.keys, project=self._project, runs=json.dumps([run_id]))["keys"]:
                if not self._wanted.keys or one["key"] in self._wanted.keys:
                    by_key.setdefault(one["key"], []).append(run_id)
        places = {}
        for place, (key, members) in enumerate(by_key.items()):
            lines: list[Any] = []
            points = max(10, min(500, _POINTS_OF_KEY // len(members) // 4))
            for start in range(0, len(members), curves.MOST_RUNS):
                some = json.dumps(members[start : start + curves.MOST_RUNS])
                asked = {"project": self._project, "key": key, "runs": some, "points": str(points)}
                lines += self._ask(curves.curves, **asked)["lines"]
            self._keep(f"curves-{place}", {"key": key, "x": "_step", "lines": lines})
            places[key] = place
        return {"places": places, "runs": by_key}

    def _write_run(self, place: int, run_id: str) -> None:
        """The page of a run, with what it asks for."""
        path = RunPath(*self._wanted.project, run_id)
        run = dump_path(path)
        answers = dict(self._answers_of(path, run))
        self._keep(f"run-{place}", answers)
        shell = self._shell("run", run_id, run=run_id, place=place)
        self._page(f"runs/{place}.html", shell, "../")

    def _answers_of(self, path: RunPath, run: str) -> Iterator[tuple[str, Any]]:
        """What the page of a run asks for, by question; what cannot be answered is left out."""
        asked: list[tuple[str, Answer, dict[str, str]]] = [
            ("run", run_answer(self._entry_json), {}), ("artifacts", artifacts.artifacts, {}),
            ("files", contents.files, {}), ("media", contents.media, {}),
        ]  # fmt: skip
        found: dict[str, Any] = {}
        for name, question, more in asked:
            found[name] = self._ask(question, run=run, **more)
        if self._wanted.keys:
            found["run"]["metrics"] = [one for one in found["run"]["metrics"] if one["key"] in self._wanted.keys]
        for file in found["files"]["files"]:
            file["url"] = self._copy(path, file["name"]) if file["held"] and file["kind"] in _COPIED else None
        yield from found.items()
        yield "console", self._console(run)
        for key in found["run"]["system"]:
            yield f"system?{key}", self._ask(curves.system, run=run, key=key)
        for one in found["media"]["keys"]:
            try:
                yield f"media?{one['key']}", self._shown(path, self._media(run, one))
            except MirrorError:
                continue

    def _media(self, run: str, one: dict[str, Any]) -> Any:
        if one["kind"] == "histogram":
            return self._ask(contents.histogram, run=run, key=one["key"])
        if one["kind"] == "table":
            return self._ask(contents.table, run=run, key=one["key"])
        return self._ask(contents.media, run=run, key=one["key"])

    def _console(self, run: str) -> dict[str, Any]:
        lines: list[Any] = []
        count = 0
        while len(lines) < _LINES:
            answer = self._ask(contents.console, run=run, start=str(len(lines)))
            count = answer["count"]
            if not answer["lines"]:
                break
            lines += answer["lines"]
        return {"count": len(lines), "all": count, "lines": lines}

    def _shown(self, path: RunPath, answer: Any) -> Any:
        """An answer whose addresses lead to copies."""
        if isinstance(answer, list):
            return [self._shown(path, one) for one in answer]
        if not isinstance(answer, dict):
            return answer
        if isinstance(answer.get("url"), str) and answer.get("name"):
            return {**answer, "url": self._copy(path, answer["name"])}
        return {name: self._shown(path, one) for name, one in answer.items()}

    def _copy(self, path: RunPath, name: str) -> str | None:
        """Copy a file of a run once; where it is, as a run's page sees it."""
        held = read_files(self._context.lake, path, [name]).get(name)
        if held is None or held.object is None or (held.size or 0) > MOST_FILE:
            return None
        if held.object not in self._copied:
            suffix = "".join(sign for sign in Path(name).suffix.lower() if sign.isalnum() or sign == ".")[:10]
            shutil.copyfile(
                self._context.mirror.objects.path(held.object), self._folder / "files" / f"{held.object}{suffix}"
            )
            self._copied[held.object] = f"../files/{held.object}{suffix}"
        return self._copied[held.object]

    def _ask(self, question: Answer, **asked: str) -> Any:
        return msgspec.to_builtins(question(self._context, Asked(asked)))

    def _keep(self, name: str, answer: Any) -> None:
        content = f"wm.kept[{json.dumps(name)}] = {dump_strict(answer)};\n"
        (self._folder / "data" / f"{name}.js").write_text(content, encoding="utf-8", errors="replace")

    def _shell(self, page: str, label: str, **settings: Any) -> Shell:
        entity, project = self._wanted.project
        crumbs: tuple[tuple[str, str | None], ...] = ((str(self._wanted.project), "../index.html"), (label, None))
        if page == "project":
            crumbs = ((label, None),)
        return Shell(page=page, title=label, crumbs=crumbs, settings={"entity": entity, "project": project, **settings})

    def _page(self, name: str, shell: Shell, root: str) -> None:
        text = static_html(shell, ["static.js"], root=root, as_of=self._as_of, policy=POLICY)
        (self._folder / name).write_text(text, encoding="utf-8", errors="replace")


def dump_path(path: RunPath) -> str:
    """A run as a question names it."""
    return "/".join(quote(part, safe="") for part in path)
