"""Names that people type of what a mirror holds, other than runs: projects, keys, artifacts."""

from __future__ import annotations

from collections.abc import Sequence

from mirror.cli.terminal.output import say
from mirror.errors import AmbiguousName, NotMirrored
from mirror.layout import Home
from mirror.store.engine.reader import Reader
from mirror.store.read.projects import mirrored_projects
from mirror.texts.naming import meant, near
from mirror.texts.visible import visible

SHOWN = 8


def the_one(text: str, known: Sequence[str], *, what: str, hint: str) -> str:
    """The one name that a text stands for.

    Args:
        text: as typed.
        known: the names that there are.
        what: "project", for the messages.
        hint: how to see all names.

    Raises:
        AmbiguousName: several fit; they are listed.
        NotMirrored: none does; near ones are offered.
    """
    found = meant(text, known)
    if len(found) == 1:
        return found[0]
    if found:
        raise AmbiguousName(f"{text!r} fits more than one {what}", hint=f"name one of them:\n{_lines(found)}")
    close = near(text, known)
    raise NotMirrored(
        f"{text!r} is no {what} in this mirror", hint=f"{hint}, or did you mean\n{_lines(close)}" if close else hint
    )


def find_projects(text: str | None, home: Home) -> str | None:
    """A project as `ENTITY/PROJECT`, from whatever names just one that is mirrored; globs and None stay as they are.

    Raises:
        AmbiguousName, NotMirrored: as `the_one`.
    """
    if text is None or set("*?[") & set(text):
        return text
    with Reader(home) as lake:
        known = [f"{entity}/{project}" for entity, project in mirrored_projects(lake)]
    return the_one(text, known, what="project", hint="`wandb-mirror status` lists all")


def find_key(text: str, known: Sequence[str]) -> str:
    """A key from whatever names just one, which is then said; what names none is kept, for the answer to say so.

    Raises:
        AmbiguousName: several keys fit.
    """
    found = meant(text, known)
    if len(found) > 1:
        raise AmbiguousName(f"{text!r} fits {len(found)} keys", hint=f"name one of them:\n{_lines(found)}")
    if found:
        say(f"{text!r} is taken for {found[0]!r}")
    return found[0] if found else text


def _lines(names: Sequence[str]) -> str:
    shown = [f"  {visible(name)}" for name in names[:SHOWN]]
    return "\n".join([*shown, *([f"  … and {len(names) - SHOWN} more"] if len(names) > SHOWN else [])])
