"""Keys that a history does not hold, told with those that may be meant: else a typing error looks like an empty run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from mirror.run.facts import RunFacts
from mirror.texts.naming import near


def warn_of_unknown(run: RunFacts, keys: Sequence[str] | None, stacklevel: int = 4) -> None:
    """Warn of keys that no row of a history holds, under that name or as a dictionary.

    Args:
        run: whose.
        keys: that are asked for.
        stacklevel: of whoever asks.
    """
    asked = [key for key in keys or () if not key.startswith("_")]
    listed = _listed(run)
    if not asked or all(key in listed for key in asked):
        return
    from mirror.store.read.run_overview import history_keys, unknown_among

    known = history_keys(run._local.reader, run._run_path)
    for key in unknown_among([*known, *listed], asked) if known else ():
        close = near(key, known)
        hint = f"; near are {', '.join(map(repr, close))}" if close else ""
        warnings.warn(f"no row of {run._run_path} holds {key!r}{hint}", UserWarning, stacklevel=stacklevel)


def _listed(run: RunFacts) -> dict[str, Any]:
    """The keys by the server's word, which is at hand."""
    found = run._known_document("historyKeys")
    keys = found.get("keys") if isinstance(found, dict) else None
    return keys if isinstance(keys, dict) else {}
