"""What a person means by a name: itself, whatever begins so, or what is near it. Pure, over texts."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

NEAR = 3  # names that are offered
MOST = 10_000  # names that are looked through for near ones


def meant(text: str, known: Sequence[str]) -> list[str]:
    """The names that a text may stand for; the first of these that fits any: the name itself, but for its case, as the
    last part of a path, as the beginning of a name, as the beginning of the last part.

    Args:
        text: as typed.
        known: names; parts of a path are joined by slashes.
    """
    lowered = text.lower()
    for fits in (
        lambda name: name == text,
        lambda name: name.lower() == lowered,
        lambda name: name.lower().rpartition("/")[2] == lowered,
        lambda name: name.lower().startswith(lowered),
        lambda name: name.lower().rpartition("/")[2].startswith(lowered),
    ):
        if found := [name for name in known if fits(name)]:
            return found
    return []


def near(text: str, known: Sequence[str]) -> list[str]:
    """The names that a mistyped one may be meant for, the likest first; else those of groups that end so: `val/loss`
    for `loss`."""
    some = known[:MOST]
    return (
        difflib.get_close_matches(text, some, NEAR)
        or [name for name in some if name.endswith((f"/{text}", f".{text}"))][:NEAR]
    )
