"""What a person means by a name: itself, whatever begins so, or what is near it. Pure, over texts."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

NEAR = 3  # names that are offered
MOST = 10_000  # names that are looked through for near ones

_RESERVED = ":;,#?/'"  # in ids of new runs; W&B has older ones with them


def meant(text: str, known: Sequence[str]) -> list[str]:
    """The names that a text may stand for; the first of these that fits any: the name itself, but for its case, as the
    last part of a path, as the beginning of a name, as the beginning of the last part.

    Args:
        text: as typed.
        known: names; parts of a path are joined by slashes.
    """
    ranked = [(rank, name) for name in known if (rank := _rank(text, name)) is not None]
    best = min((rank for rank, _ in ranked), default=0)
    return [name for rank, name in ranked if rank == best]


def _rank(text: str, name: str) -> int | None:
    if name == text:
        return 0
    typed, lowered = text.lower(), name.lower()
    last = lowered.rpartition("/")[2]
    fits = (lowered == typed, last == typed, lowered.startswith(typed), last.startswith(typed))
    return fits.index(True) + 1 if any(fits) else None


def near(text: str, known: Sequence[str]) -> list[str]:
    """The names that a mistyped one may be meant for, the likest first; else those of groups that end so: `val/loss`
    for `loss`."""
    some = known[:MOST]
    return (
        difflib.get_close_matches(text, some, NEAR)
        or [name for name in some if name.endswith((f"/{text}", f".{text}"))][:NEAR]
    )


def run_id_fault(run_id: str) -> str | None:
    """Why no run can be made under an id, in a sentence; None where one can. `wandb.init` refuses the same.

    Args:
        run_id: as it was asked for.
    """
    if not run_id or run_id != run_id.strip():
        return "a run id is not empty, and neither begins nor ends with a blank"
    if run_id in {".", ".."}:
        return "a run id is neither . nor .., which lead elsewhere in an address"
    if reserved := sorted(set(run_id) & set(_RESERVED)):
        return f"a run id cannot contain {' '.join(_RESERVED)}, and this one has {' '.join(reserved)}"
    return None
