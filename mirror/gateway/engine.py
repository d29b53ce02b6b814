"""The GraphQL engine: any document, executed over one commit of the lake and what is queued over it.

Errors with a meaning become GraphQL errors with their sentence and hint; any other is logged, and told as no more than
a failure.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    execute_sync,
)

from mirror.errors import MirrorError
from mirror.gateway.absent import refuse_the_rest
from mirror.gateway.addresses import Addresses
from mirror.gateway.context import RequestContext, Shared
from mirror.gateway.memory import CommitMemory, NewestCommit, Queue
from mirror.run.pending.local import LocalMirror
from mirror.wandb_protocol.documents import RefusedDocument, checked_document
from mirror.wandb_protocol.errors import RequestRefused, errors_object, json_body, resolver_error, status_of
from mirror.wandb_protocol.paging import PageLimits
from mirror.wandb_protocol.schema import executable_schema
from mirror.wandb_protocol.wording import reword, spell_refusal

MOST_TOKENS = 20_000  # of a document; the longest of the SDK's has 900
PAGE_LIMITS = PageLimits(limit=1000)
_log = logging.getLogger(__name__)


@functools.cache
def schema() -> GraphQLSchema:
    """W&B's schema with the gateway's resolvers."""
    from mirror.gateway.resolvers import TABLES

    built = executable_schema(TABLES, {"Initiator": _type_of, "ArtifactCollection": _type_of})
    refuse_the_rest(built)
    return built


def _type_of(value: Any, _info: Any, _type: Any) -> str:
    """The type of a value of an interface or a union, which its node says."""
    return str(value.graphql_type)


@functools.lru_cache(maxsize=500)
def _document(text: str) -> DocumentNode | RefusedDocument:
    return checked_document(schema(), text, max_tokens=MOST_TOKENS)


class Engine:
    """Executes documents over one home; for any thread.

    Args:
        mirror: the home.
        read_only: refuse every change.
    """

    def __init__(self, mirror: LocalMirror, *, read_only: bool = False) -> None:
        self._shared = Shared(
            mirror=mirror,
            memory=CommitMemory(),
            newest=NewestCommit(mirror.home),
            queue=Queue(mirror),
            limits=PAGE_LIMITS,
            read_only=read_only,
        )

    def prepare(self) -> None:
        """Have the lake opened and the schema made, side by side, before the first document asks for them."""
        opening = threading.Thread(target=self._open, name="wandb-mirror-opening")
        opening.start()
        schema()
        opening.join()

    def _open(self) -> None:
        with contextlib.suppress(MirrorError):  # it is told to whoever asks
            self._shared.mirror.reader.rows("SELECT 1")

    def answer(self, body: bytes, addresses: Addresses) -> tuple[int, bytes]:
        """The HTTP status and the body that answer a request's body.

        Args:
            body: JSON, `{"query", "variables", "operationName"}`.
            addresses: where this client finds bytes.
        """
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            return 400, json_body(errors_object("the body is not JSON"))
        query = request.get("query") if isinstance(request, dict) else None
        if not isinstance(query, str):
            return 400, json_body(errors_object("Must provide query string."))
        document = _document(query)
        if isinstance(document, RefusedDocument):
            refusals = [
                spell_refusal(error, code=document.code, wording="wandb", suggests=True) for error in document.errors
            ]
            return 400, json_body({"errors": refusals})
        variables = request.get("variables") or {}
        if not isinstance(variables, Mapping):
            return 400, json_body(errors_object("variables are an object"))
        result, moved = self._execute(document, variables, request.get("operationName") or None, addresses)
        if moved and not _is_change(document):  # a commit came between two reads: once more, from the newer one
            result, _ = self._execute(document, variables, request.get("operationName") or None, addresses)
        return _spelled(result)

    def _execute(
        self, document: DocumentNode, variables: Mapping[str, Any], operation: str | None, addresses: Addresses
    ) -> tuple[ExecutionResult, bool]:
        with RequestContext(self._shared, addresses) as context:
            result = execute_sync(
                schema(),
                document,
                context_value=context,
                variable_values=dict(variables),
                operation_name=operation,
            )
            return result, context.moved


def _is_change(document: DocumentNode) -> bool:
    return any(
        isinstance(node, OperationDefinitionNode) and node.operation is OperationType.MUTATION
        for node in document.definitions
    )


def _spelled(result: ExecutionResult) -> tuple[int, bytes]:
    answer: dict[str, Any] = {"data": result.data}
    errors = result.errors or []
    if errors:
        answer["errors"] = [resolver_error(error, _words_of(error)) for error in errors]
    return status_of(errors, result.data), json_body(answer)


def _words_of(error: GraphQLError) -> str:
    original = error.original_error
    if isinstance(original, MirrorError):
        return f"{original.message}; {original.hint}" if original.hint else original.message
    if error.path is None:
        return reword(error.message, wording="wandb", suggests=True)
    if original is None or isinstance(original, GraphQLError | RequestRefused):
        return error.message
    place = ".".join(map(str, error.path))
    _log.error("the gateway failed at %s", place, exc_info=original)
    return f"the gateway failed at {place}; its log has the error, a defect of wandb-mirror"
