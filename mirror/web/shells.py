"""The HTML around what the scripts draw: one template, and for each page its scripts and where it stands."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import jinja2
import msgspec

STYLES = ("page.css", "detail.css")
ASSETS = "/-/assets/"
# In the order in which they run; a page's own script comes last.
SCRIPTS: dict[str, tuple[str, ...]] = {
    "projects": ("core.js", "projects.js"),
    "project": (
        "core.js",
        "menu.js",
        "axes.js",
        "chart.js",
        "scatter.js",
        "parallel.js",
        "table.js",
        "curves.js",
        "filters.js",
        "plots.js",
        "project.js",
    ),
    "compare": ("core.js", "menu.js", "axes.js", "chart.js", "curves.js", "compare.js"),
    "run": (
        "core.js",
        "parts.js",
        "edit.js",
        "menu.js",
        "axes.js",
        "chart.js",
        "heat.js",
        "table.js",
        "curves.js",
        "ansi.js",
        "console.js",
        "media.js",
        "files.js",
        "run.js",
    ),
    "artifact": ("core.js", "parts.js", "media.js", "files.js", "artifact.js"),
    "mirror": ("core.js", "parts.js", "mirror.js"),
    "sql": ("core.js", "parts.js", "menu.js", "axes.js", "chart.js", "table.js", "complete.js", "sql.js"),
}


class Shell(msgspec.Struct, frozen=True, kw_only=True):
    """One page."""

    page: str
    title: str
    crumbs: tuple[tuple[str, str | None], ...] = ()  # labels and addresses
    settings: dict[str, Any] = {}  # for its scripts


def project_shell(entity: str, project: str, **settings: Any) -> Shell:
    """The runs of a project."""
    return Shell(
        page="project", title=f"{entity}/{project}", crumbs=((entity, None), (project, None)),
        settings={"entity": entity, "project": project, **settings},
    )  # fmt: skip


def of_project(page: str, entity: str, project: str, label: str, **settings: Any) -> Shell:
    """A page below a project."""
    crumbs = ((entity, None), (project, address(entity, project)), (label, None))
    settings = {"entity": entity, "project": project, **settings}
    return Shell(page=page, title=f"{label} · {entity}/{project}", crumbs=crumbs, settings=settings)


def shell_at(parts: Sequence[str]) -> Shell | None:
    """The page at a path, by its parts; those of runs have the addresses that W&B's own have."""
    match list(parts):
        case [""]:
            return Shell(page="projects", title="Projects")
        case ["-", "mirror"]:
            return Shell(page="mirror", title="Mirror", crumbs=(("Mirror", None),))
        case ["-", "sql"]:
            return Shell(page="sql", title="SQL", crumbs=(("SQL", None),))
        case ["-" | "", *_]:
            return None
        case [entity, project] | [entity, project, "table" | "workspace" | "overview" | ""] if project:
            return project_shell(entity, project)
        case [entity, project, "runs", run, *rest] if run and len(rest) < 3:
            return of_project("run", entity, project, run, run=run, tab=rest[0] if rest else None)
        case [entity, project, "sweeps", sweep] if sweep:
            return of_project("project", entity, project, f"sweep {sweep}", sweep=sweep)
        case [entity, project, "compare"]:
            return of_project("compare", entity, project, "compare")
        case [entity, project, "artifacts", kind, name, version, *_] if name:
            label = f"{name}:{version}"
            return of_project("artifact", entity, project, label, type=kind, name=name, version=version)
    return None


def page_html(shell: Shell, *, read_only: bool) -> str:
    """A page as the server sends it."""
    settings = {
        "page": shell.page,
        "readOnly": read_only,
        "static": False,
        "root": "/",
        "version": version("wandb-mirror"),
    }
    return _templates().get_template("page.html").render(
        title=shell.title, styles=STYLES, scripts=SCRIPTS[shell.page], assets=ASSETS, home="/", live=True,
        place=shell.page, crumbs=shell.crumbs, settings=json.dumps({**settings, **shell.settings}), policy=None,
    )  # fmt: skip


def static_html(shell: Shell, scripts: Sequence[str], *, root: str, as_of: str, policy: str) -> str:
    """A page as a file.

    Args:
        shell: what is on it.
        scripts: beside those of the page.
        root: the way from the page to the folder of the export, with a slash at its end.
        as_of: how old what is shown is.
        policy: what a browser may do with it.
    """
    settings = {"page": shell.page, "readOnly": True, "static": True, "root": root, "version": _version()}
    names = [*SCRIPTS[shell.page][:-1], *scripts, SCRIPTS[shell.page][-1]]
    return _templates().get_template("page.html").render(
        title=shell.title, styles=STYLES, scripts=names, assets=f"{root}assets/", home=f"{root}index.html", live=False,
        place=shell.page, crumbs=shell.crumbs, settings=json.dumps({**settings, **shell.settings}), policy=policy,
        as_of=as_of,
    )  # fmt: skip


def enter_html(following: str, refused: str | None) -> str:
    """The page that asks for the key."""
    return _templates().get_template("enter.html").render(next=following, refused=refused)


def address(*parts: str) -> str:
    """The path of a page, from names."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


@functools.cache
def _version() -> str:
    return version("wandb-mirror")


@functools.cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("mirror.web"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
