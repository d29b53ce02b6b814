"""Names that people type of what a mirror holds, other than runs: projects, keys, artifacts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from mirror.cli.terminal.output import say
from mirror.errors import AmbiguousName, MirrorError, NotMirrored
from mirror.layout import Home
from mirror.records.runs import RUN_STATES
from mirror.store.engine.reader import Reader
from mirror.store.read.names import states_held
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


def warn_of_states(states: Iterable[str], home: Home) -> None:
    """Say which states no run can be in, as far as is known, with the near ones: a server may know more of them."""
    unknown = [state for state in dict.fromkeys(states) if state not in RUN_STATES]
    if not unknown:
        return
    held: Sequence[str] = []
    with contextlib.suppress(MirrorError), Reader(home) as lake:
        held = states_held(lake)
    known = sorted(RUN_STATES.union(held))
    for state in unknown:
        if state not in held:
            close = near(state.lower(), known)
            meant_for = f"near are {', '.join(map(visible, close))}" if close else f"known are {', '.join(known)}"
            say(f"warning: {state!r} is no state that W&B or this mirror knows; {meant_for}")


def _lines(names: Sequence[str]) -> str:
    shown = [f"  {visible(name)}" for name in names[:SHOWN]]
    return "\n".join([*shown, *([f"  … and {len(names) - SHOWN} more"] if len(names) > SHOWN else [])])
