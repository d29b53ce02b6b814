"""Matrices of which the default run takes the cases that tell a new thing, and `-m soak` all the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pytest


def thin(cases: Mapping[str, Any] | Iterable[Any], keep: Collection[Any]) -> list[Any]:
    """Every case as a parameter; those that are not in `keep` are marked `soak`.

    Args:
        cases: by their names, each one argument; or in a row, where a tuple is several arguments.
        keep: names; or cases themselves.

    Raises:
        AssertionError: `keep` names no case.
    """
    named: list[tuple[Any, str | None, tuple[Any, ...]]] = (
        [(name, name, (case,)) for name, case in cases.items()]
        if isinstance(cases, Mapping)
        else [(case, None, case if isinstance(case, tuple) else (case,)) for case in cases]
    )
    unknown = [one for one in keep if one not in [key for key, _, _ in named]]
    assert not unknown, f"no such case: {unknown}"
    return [
        pytest.param(*arguments, id=name, marks=() if key in keep else pytest.mark.soak)
        for key, name, arguments in named
    ]
