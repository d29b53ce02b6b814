"""Whose budget a request is counted in, and how dear it may be. Pure.

W&B counts a request that names a project for that project, by the time its database spends, and any other for the user.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

_ENTITIES = ("entity", "entityName")
_PROJECTS = ("project", "projectName", "modelName")
_SIZES = ("first", "last", "samples")  # variables that say how much is asked for


class CostClass(NamedTuple):
    """Requests that cost about the same."""

    operation: str = ""  # its name, and what it asks for along with it
    size: int = 0  # the power of two above the rows, names or things asked for


class Charge(NamedTuple):
    """What a request is counted as."""

    project: str | None = None  # ENTITY/PROJECT whose budget it takes from; None: the user's
    kind: CostClass = CostClass()


def charge_of(operation: str, variables: Mapping[str, object]) -> Charge:
    """What a request is counted as.

    Args:
        operation: name of the document's operation.
        variables: by name; those of a mutation may lie in an input, or in several of the same project.
    """
    within = next((value for value in variables.values() if isinstance(value, Mapping)), {})
    given = {**variables, **within}
    entity, project = _text(given, _ENTITIES), _text(given, _PROJECTS)
    name = f"{operation} with contents" if "filesFirst" in variables else operation
    return Charge(
        project=f"{entity}/{project}" if entity and project else None,
        kind=CostClass(name, max(_sizes(variables), default=0).bit_length()),
    )


def _text(given: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    """The first of these variables that is a text."""
    return next((value for name in names if isinstance(value := given.get(name), str) and value), None)


def _sizes(variables: Mapping[str, object]) -> Iterator[int]:
    yield len(variables)  # a document about several things has variables for each
    for name, value in variables.items():
        if name in _SIZES and isinstance(value, int):
            yield abs(value)
        elif isinstance(value, list | tuple):
            yield len(value)
