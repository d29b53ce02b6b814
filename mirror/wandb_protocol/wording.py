"""How a server words the refusal of a document: W&B's is written in Go, and keeps the older sentences.

Seen at W&B: `Cannot query field "x" on type "Y".` and `Unknown argument "x" on field "y" of type "Z".`, with double
quotes. Newer libraries join field and type (`on field "Z.y"`). The sentences about input fields are inferred.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from graphql import GraphQLError

from .errors import shortened

Wording = Literal["wandb", "graphql-js", "graphql-ruby", "async-graphql", "hot-chocolate", "foreign", "code", "mute"]
"""Whose sentences: of W&B's server, or of servers of other makes; "foreign" ones tell no more than the place in the
document, "code" no more than a code, "mute" nothing."""

_SUGGESTION = re.compile(r" Did you mean .*\?$", re.DOTALL)
_ARGUMENT = re.compile(r'^Unknown argument "(?P<argument>\w+)" on field "(?P<type>\w+)\.(?P<field>\w+)"\.')
_FIELD = re.compile(r'^Cannot query field "(?P<field>\w+)" on type "(?P<type>\w+)"')
_VARIABLE = re.compile(r'^Variable "\$(?P<name>\w+)"')
# By wording: of an unknown field, and of an unknown argument.
_OTHER_SENTENCES: dict[str, tuple[str, str]] = {
    "graphql-ruby": (
        r"Field '\g<field>' doesn't exist on type '\g<type>'",
        r"Field '\g<field>' doesn't accept argument '\g<argument>'",
    ),
    "async-graphql": (
        r'Unknown field "\g<field>" on type "\g<type>".',
        r'Unknown argument "\g<argument>" on field "\g<field>" of type "\g<type>".',
    ),
    "hot-chocolate": (
        r"The field `\g<field>` does not exist on the type `\g<type>`.",
        r"The argument `\g<argument>` does not exist.",
    ),
}
# Two spellings of graphql-core, before and since 3.3.
_INPUT_FIELDS = (
    re.compile(r'Field "(?P<field>\w+)" is not defined by type "(?P<type>\w+)"\.'),
    re.compile(r'Expected value of type "(?P<type>\w+)" not to include unknown field "(?P<field>\w+)"'),
)


def spell_refusal(error: GraphQLError, *, code: str, wording: Wording, suggests: bool) -> dict[str, Any]:
    """One error of a refused document. `suggests` keeps the sentences about what may have been meant."""
    locations = [{"line": place.line, "column": place.column} for place in error.locations or []]
    message = shortened(reword(error.message, wording=wording, suggests=suggests))
    match wording:
        case "mute":
            return {"message": "invalid query"}
        case "code":
            return {"message": "bad request", "extensions": {"code": code}}
        case "foreign":
            return {"message": "Die Anfrage wird nicht verstanden", "locations": locations}
        case "graphql-ruby":
            return {"message": message, "locations": locations, **_in_ruby(message)}
        case "async-graphql" | "hot-chocolate":
            return {"message": message, "locations": locations}
        case _:
            return {"message": message, "locations": locations, "extensions": {"code": code}}


def _in_ruby(message: str) -> dict[str, Any]:
    """The way through the document that graphql-ruby gives along."""
    names = re.findall(r"'(\w+)'", message)
    return {"path": ["query", "project", *names[:1]], "extensions": {"code": "undefinedField"}}


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
    if wording in _OTHER_SENTENCES:
        for before, after in zip((_FIELD, _ARGUMENT), _OTHER_SENTENCES[wording], strict=True):
            if (match := before.match(message)) is not None:
                return match.expand(after)
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
