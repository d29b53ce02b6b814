"""How a server words the refusal of a document: W&B's is written in Go, and keeps the older sentences.

Seen at W&B: `Cannot query field "x" on type "Y".` and `Unknown argument "x" on field "y" of type "Z".`, with double
quotes. Newer libraries join field and type (`on field "Z.y"`). The sentences about input fields are inferred.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from graphql import GraphQLError

Wording = Literal["wandb", "graphql-js"]
"""Whose sentences: those of W&B's server, or those of newer servers of other makes."""

_SUGGESTION = re.compile(r" Did you mean .*\?$", re.DOTALL)
_ARGUMENT = re.compile(r'^Unknown argument "(?P<argument>\w+)" on field "(?P<type>\w+)\.(?P<field>\w+)"\.')
_VARIABLE = re.compile(r'^Variable "\$(?P<name>\w+)"')
# Two spellings of graphql-core, before and since 3.3.
_INPUT_FIELDS = (
    re.compile(r'Field "(?P<field>\w+)" is not defined by type "(?P<type>\w+)"\.'),
    re.compile(r'Expected value of type "(?P<type>\w+)" not to include unknown field "(?P<field>\w+)"'),
)


def spell_refusal(error: GraphQLError, *, code: str, wording: Wording, suggests: bool) -> dict[str, Any]:
    """One error of a refused document. `suggests` keeps the sentences about what may have been meant."""
    locations = [{"line": place.line, "column": place.column} for place in error.locations or []]
    return {
        "message": reword(error.message, wording=wording, suggests=suggests),
        "locations": locations,
        "extensions": {"code": code},
    }


def reword(message: str, *, wording: Wording, suggests: bool) -> str:
    """A message of graphql-core in the server's words."""
    # The SDK looks for `field "features" on type "ServerInfo"` in the text.
    message = message.replace("'", '"')
    if not suggests:
        message = _SUGGESTION.sub("", message)
    for pattern in _INPUT_FIELDS:
        match = pattern.search(message)
        if match is not None:
            return _unknown_input_field(match, _VARIABLE.match(message), wording)
    if wording == "wandb":
        message = _ARGUMENT.sub(r'Unknown argument "\g<argument>" on field "\g<field>" of type "\g<type>".', message)
    return message


def _unknown_input_field(match: re.Match[str], variable: re.Match[str] | None, wording: Wording) -> str:
    field, type_name = match["field"], match["type"]
    if wording == "graphql-js":
        before = f'Variable "${variable["name"]}" got invalid value; ' if variable else ""
        return f'{before}Field "{field}" is not defined by type "{type_name}".'
    before = f'Variable "${variable["name"]}" got invalid value' if variable else 'Argument "input" has invalid value'
    return f'{before}.\nIn field "{field}": Unknown field.'
