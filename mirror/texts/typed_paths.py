"""How a person types the path of a run: ids may hold what a path or a shell would read as something else."""

from __future__ import annotations

import re
import shlex
from urllib.parse import unquote

# A slash, blanks at the ends, and what would pass for an encoded character.
_AMBIGUOUS = re.compile(r"/|^\s+|\s+$|%(?=[0-9A-Fa-f]{2})")


def id_of_typed(text: str) -> str:
    """The id that a part of a path names: `%20` is a blank, `%2F` a slash, `%25` a percent sign."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def typed_of_id(run_id: str) -> str:
    """The part of a path that names an id; nearly all are written as they are."""
    return _AMBIGUOUS.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), run_id)


def in_shell(entity: str, project: str, run_id: str | None = None) -> str:
    """The path of a project or a run as one word of a command to paste, quoted where a shell needs it."""
    return shlex.quote("/".join((entity, project, *(() if run_id is None else (typed_of_id(run_id),)))))
