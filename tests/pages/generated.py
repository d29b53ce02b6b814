"""What pages have from the code: a name, as it stands in `<!-- generated: NAME -->`, and what makes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import mirror
import mirror.errors
from tests.gateway import differences
from tests.gateway.clients import clients
from tests.pages.commands import commands, exit_statuses
from tests.pages.settings import example, settings
from tests.pages.views import views

DOCS = Path(__file__).parents[2] / "docs"
_MARK = re.compile(r"^<!-- generated: (.+?) -->$", re.MULTILINE)


def python() -> str:
    """The public names, for mkdocstrings to write out: what one calls first, then what that returns, then errors."""
    errors = [name for name in mirror.__all__ if _is_error(name)]
    first = [name for name in ("Api", "connect", "Run", "Runs") if name in mirror.__all__]
    rest = [name for name in mirror.__all__ if name not in {*errors, *first}]
    directives = [f"::: mirror.{name}" for name in (*first, *rest, *errors)]
    directives.insert(
        1, "::: mirror.run.api_paths.ApiPaths\n    options:\n      heading_level: 3\n      members: false"
    )
    return "\n\n".join(directives)


def _is_error(name: str) -> bool:
    kind = getattr(mirror, name)
    return isinstance(kind, type) and issubclass(kind, Exception)


def error_tree() -> str:
    """The tree of errors, as it is drawn where they are."""
    drawn = re.findall(r"^    (?:MirrorError|[├│└ ]).*$", mirror.errors.__doc__ or "", re.MULTILINE)
    return "\n".join(["```text", *(line.removeprefix("    ") for line in drawn), "```"])


def decisions() -> str:
    """A line for each decision: its title, with a link."""
    lines = []
    for path in sorted((DOCS / "adr").glob("[0-9]*.md")):
        number, _, title = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ").partition(". ")
        lines.append(f"- {int(number)}. [{title}]({path.name})")
    return "\n".join(lines)


PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "exit statuses": exit_statuses,
    "views": views,
    "settings": settings,
    "example configuration": example,
    "python": python,
    "errors": error_tree,
    "decisions": decisions,
    "gateway differences": differences.as_table,
    "gateway clients": clients.as_table,
}


def filled(markdown: str) -> str:
    """A page with its generated parts.

    Raises:
        KeyError: there is no part of this name.
    """
    return _MARK.sub(lambda mark: PARTS[mark[1]](), markdown)
