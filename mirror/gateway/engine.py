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
from mirror.gateway.absent import absent_subject, refuse_the_rest
from mirror.gateway.addresses import Addresses
from mirror.gateway.context import RequestContext, Shared
from mirror.gateway.cost import DEAR, cost_of, too_dear
from mirror.gateway.memory import CommitMemory, NewestCommit, Queue
from mirror.gateway.promised import keep_promises
from mirror.gateway.seen import SeenRuns
from mirror.gateway.training import TrainingRefused, Trainings
from mirror.gateway.watch import Ended, Watch, watch_all
from mirror.run.pending.local import LocalMirror
from mirror.texts.visible import visible
from mirror.wandb_protocol.documents import RefusedDocument, checked_document
from mirror.wandb_protocol.errors import RequestRefused, errors_object, json_body, resolver_error, status_of
from mirror.wandb_protocol.paging import PageLimits
from mirror.wandb_protocol.schema import executable_schema
from mirror.wandb_protocol.wording import reword, spell_refusal

MOST_TOKENS = 10_000  # of a document; the longest of the SDK's has 900
LONGEST_TEXT = 1024 * 1024  # of a document, in characters; values belong into variables
_KEPT_TEXT = 32 * 1024  # documents that are longer are parsed anew each time
PAGE_LIMITS = PageLimits(limit=1000)
_log = logging.getLogger(__name__)


@functools.cache
def schema() -> GraphQLSchema:
    """W&B's schema with the gateway's resolvers."""
    from mirror.gateway.resolvers import TABLES

    built = executable_schema(TABLES, {"Initiator": _type_of, "ArtifactCollection": _type_of})
    refuse_the_rest(built)
    keep_promises(built)
    watch_all(built)
    return built


def _type_of(value: Any, _info: Any, _type: Any) -> str:
    """The type of a value of an interface or a union, which its node says."""
    return str(value.graphql_type)


def _document(text: str) -> DocumentNode | RefusedDocument:
    """A text, parsed, within bounds and valid."""
    if len(text) > LONGEST_TEXT:
        return RefusedDocument(
            code="DOCUMENT_TOO_LARGE",
            errors=[GraphQLError(f"the document is too long: it may have {LONGEST_TEXT} characters")],
        )
    return _kept(text) if len(text) <= _KEPT_TEXT else _parsed(text)


def _parsed(text: str) -> DocumentNode | RefusedDocument:
    return checked_document(
        schema(), text, max_tokens=MOST_TOKENS, refusal=lambda parsed: too_dear(cost_of(parsed, {}))
    )


_kept = functools.lru_cache(maxsize=500)(_parsed)


class Dear(Exception):
    """A document asks for so much that it is executed when no other such one is."""


class Engine:
    """Executes documents over one home; for any thread.

    Args:
        mirror: the home.
        trainings: of processes that train against the gateway; None: of its own.
        read_only: refuse every change.
    """

    def __init__(self, mirror: LocalMirror, trainings: Trainings | None = None, *, read_only: bool = False) -> None:
        self._shared = Shared(
            mirror=mirror,
            memory=CommitMemory(),
            newest=NewestCommit(mirror.home),
            queue=Queue(mirror),
            seen=SeenRuns(),
            limits=PAGE_LIMITS,
            trainings=trainings or Trainings(mirror, read_only=read_only),
            read_only=read_only,
        )
        self._large = threading.Lock()  # held by the one large answer that is being made
        self._noted: set[tuple[str, str]] = set()  # projects of which was said that they are mirrored in part

    def prepare(self) -> None:
        """Have the lake opened and the schema made, side by side, before the first document asks for them."""
        opening = threading.Thread(target=self._open, name="wandb-mirror-opening")
        opening.start()
        schema()
        opening.join()

    def _open(self) -> None:
        with contextlib.suppress(MirrorError):  # it is told to whoever asks
            self._shared.mirror.reader.rows("SELECT 1")

    def opened(self, addresses: Addresses) -> RequestContext:
        """What a request sees that is no document."""
        return RequestContext(self._shared, addresses)

    def answer(self, body: bytes, addresses: Addresses, *, takes_dear: bool = True) -> tuple[int, bytes]:
        """The HTTP status and the body that answer a request's body.

        Args:
            body: JSON, `{"query", "variables", "operationName"}`.
            addresses: where this client finds bytes.
            takes_dear: whether to execute what asks for very much.

        Raises:
            Dear: it does so; nothing of it was begun.
        """
        try:
            request = json.loads(body)
        except ValueError:
            return 400, json_body(errors_object("the body is not JSON"))
        except RecursionError:
            return 400, json_body(errors_object("the body nests too deeply"))
        if not isinstance(request, dict):
            wanted = "an object with a query"
            return 400, json_body(errors_object(
                f"a batch is not answered here: each request is {wanted}" if isinstance(request, list)
                else f"the body is not {wanted}"
            ))  # fmt: skip
        query = request.get("query")
        if not isinstance(query, str):
            return 400, json_body(errors_object("Must provide query string."))
        document = _document(query)
        if isinstance(document, RefusedDocument):
            refusals = [
                spell_refusal(error, code=document.code, wording="wandb", suggests=True) for error in document.errors
            ]
            if (told := absent_subject([refusal["message"] for refusal in refusals])) is not None:
                refusals = [{**refusals[0], "message": told}]
            return 400, json_body({"errors": refusals})
        variables = request.get("variables") or {}
        if not isinstance(variables, Mapping):
            return 400, json_body(errors_object("variables are an object"))
        cost = cost_of(document, variables)
        if (reason := too_dear(cost)) is not None:
            return 400, json_body(errors_object(reason))
        if cost.values > DEAR and not takes_dear:
            raise Dear
        return self._executed(document, variables, request.get("operationName") or None, addresses)

    def _executed(
        self, document: DocumentNode, variables: Mapping[str, Any], operation: str | None, addresses: Addresses
    ) -> tuple[int, bytes]:
        is_change = _is_change(document)
        try:
            with Watch(self._large, is_change=is_change) as watch:
                result, moved = self._execute(document, variables, operation, addresses, watch)
                if moved and not is_change:  # a commit came between two reads: once more, from the newer one
                    watch.again()
                    result, _ = self._execute(document, variables, operation, addresses, watch)
                return _spelled(result)
        except Ended as ended:
            return ended.status, json_body(errors_object(ended.message))

    def _note(self, partial: Mapping[tuple[str, str], tuple[int, int | None]]) -> None:
        """Say once, where the gateway was begun: the SDK shows its user nothing that stands beside an answer."""
        for project, counts in partial.items():
            if project not in self._noted:
                self._noted.add(project)
                _log.warning("%s", _part_of(project, *counts))

    def _execute(
        self,
        document: DocumentNode,
        variables: Mapping[str, Any],
        operation: str | None,
        addresses: Addresses,
        watch: Watch,
    ) -> tuple[ExecutionResult, bool]:
        with self.opened(addresses) as context:
            context.watch = watch
            result = execute_sync(
                schema(),
                document,
                context_value=context,
                variable_values=dict(variables),
                operation_name=operation,
            )
            self._shared.seen.note(run for told in context.told for run in told())
            if context.partial:
                told = {
                    "/".join(path): {"held": held, "server": count} for path, (held, count) in context.partial.items()
                }
                result.extensions = {**(result.extensions or {}), "wandbMirror": {"partial": told}}
                self._note(context.partial)
            return result, context.moved


def _part_of(project: tuple[str, str], held: int, server: int | None) -> str:
    """One sentence for who reads a project of which only a part is here."""
    name = visible("/".join(project))
    if server is None:
        return f"note: {name} is answered from {held:,} runs that were pulled one by one; the server may have more"
    why = "`wandb-mirror status` says what its source leaves out"
    return f"note: {name} is answered from {held:,} of the server's {server:,} runs; {why}"


def _is_change(document: DocumentNode) -> bool:
    return any(
        isinstance(node, OperationDefinitionNode) and node.operation is OperationType.MUTATION
        for node in document.definitions
    )


def _spelled(result: ExecutionResult) -> tuple[int, bytes]:
    answer: dict[str, Any] = {"data": result.data}
    errors = result.errors or []
    errors = [error for error in errors if isinstance(error.original_error, TrainingRefused)][:1] or errors
    if errors:
        answer["errors"] = [resolver_error(error, _words_of(error)) for error in errors]
    if result.extensions:
        answer["extensions"] = result.extensions
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
