"""Refusals, and errors as they stand in the body of an answer (W&B API notes, section 2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError

LONGEST_MESSAGE = 2000  # characters: a name that a client sent and an error repeats may have a million
_LONGEST_NAME = 200  # of a name in the path of an error


class RequestRefused(Exception):
    """A refusal that the client is meant to see.

    Args:
        message: Text of the GraphQL error.
        status: HTTP status of the whole answer. W&B gives resolver errors real statuses at times
            (W&B API notes, section 2: 404 from agentHeartbeat, 413 for too large documents).
        code: `extensions.code` of the error; a refused permission has W&B's own.
    """

    def __init__(self, message: str, *, status: int = 200, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = "PERMISSION_ERROR" if code is None and status == 403 else code


def json_body(value: Any) -> bytes:
    """A body; text that is not Unicode goes as it came."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def shortened(message: str, longest: int = LONGEST_MESSAGE) -> str:
    """A message without its middle where it is too long: how it begins and what it advises stay."""
    if len(message) <= longest:
        return message
    part = longest // 2 - 2
    return f"{message[:part]}...{message[-part:]}"


def errors_object(*messages: str) -> dict[str, Any]:
    """Refusals in GraphQL's shape."""
    return {"errors": [{"message": shortened(message)} for message in messages]}


def resolver_error(error: GraphQLError, message: str) -> dict[str, Any]:
    """One error beside the data.

    Args:
        error: as the engine has it.
        message: its text, as the server words it.
    """
    spelled: dict[str, Any] = {"message": shortened(message)}
    if error.path:
        spelled["path"] = [shortened(key, _LONGEST_NAME) if isinstance(key, str) else key for key in error.path]
    original = error.original_error
    if isinstance(original, RequestRefused) and original.code is not None:
        spelled["extensions"] = {"code": original.code}
    return spelled


def status_of(errors: list[GraphQLError], data: Mapping[str, Any] | None) -> int:
    """The HTTP status of an answer with these errors."""
    status = 200
    for error in errors:
        if isinstance(error.original_error, RequestRefused):
            status = max(status, error.original_error.status)
        elif data is None and error.path is None:
            status = 400  # variables that do not fit the document
    return status
