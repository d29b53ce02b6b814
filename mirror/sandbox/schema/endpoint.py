"""The GraphQL endpoint: the schema with its resolvers, parsed documents kept by text, errors with their statuses."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from graphql import (
    ASTValidationRule,
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    execute_sync,
    parse,
)

from mirror.sandbox.faults.fields import FieldFaults
from mirror.sandbox.schema.context import Context
from mirror.sandbox.schema.forms import SchemaForm, schema, schema_of
from mirror.sandbox.state.records import UserRecord
from mirror.sandbox.state.sandbox_state import SandboxState
from mirror.sandbox.storage import Answer
from mirror.wandb_protocol.documents import RefusedDocument, checked_document
from mirror.wandb_protocol.errors import errors_object, json_body, resolver_error, status_of
from mirror.wandb_protocol.wording import Wording, reword, spell_refusal


class NoIntrospection(ASTValidationRule):
    """Refuses `__schema` and `__type`, as servers in production do."""

    def enter_field(self, node: FieldNode, *_arguments: Any) -> None:
        if node.name.value in ("__schema", "__type"):
            self.report_error(GraphQLError("GraphQL introspection is not allowed", node))


@functools.lru_cache(maxsize=1000)
def _document(form: SchemaForm, introspection: bool, query: str) -> DocumentNode | RefusedDocument:
    """A text as the servers of a form take it: the same one for all sandboxes of a process."""
    return checked_document(schema_of(form), query, [] if introspection else [NoIntrospection])


def _asks_about_the_schema(document: DocumentNode) -> bool:
    """Whether a document asks for nothing but descriptions of types, without variables."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    return (
        len(operations) == 1
        and not operations[0].variable_definitions
        and all(
            isinstance(node, FieldNode) and node.name.value in {"__schema", "__type"}
            for node in operations[0].selection_set.selections
        )
    )


@functools.lru_cache(maxsize=64)
def _description(form: SchemaForm, query: str) -> Answer:
    """What servers of a form say about their types: as many types as a client asks for take a while."""
    result = execute_sync(schema_of(form), parse(query))
    return json_answer(200, {"data": result.data})


class GraphQLEndpoint:
    """Answers `POST /graphql`."""

    def __init__(self, state: SandboxState, *, form: SchemaForm, introspection: bool, wording: Wording) -> None:
        self._state = state
        self._form, self._schema = form, schema_of(form)
        self._introspection, self._wording = introspection, wording

    def answer(self, request: Mapping[str, Any], user: UserRecord | None, faults: FieldFaults | None = None) -> Answer:
        """Execute one request ({"query", "variables", "operationName"}) under the state's lock."""
        query = request.get("query")
        if not isinstance(query, str):
            return errors_answer(400, "Must provide query string.")
        document = _document(self._form, self._introspection, query)
        if isinstance(document, RefusedDocument):
            # Suggestions would tell what may not be asked.
            errors = [
                spell_refusal(error, code=document.code, wording=self._wording, suggests=self._introspection)
                for error in document.errors
            ]
            return json_answer(400, {"errors": errors})
        if faults is None and _asks_about_the_schema(document):
            return _description(self._form, query)
        context = Context(state=self._state, user=user)
        with self._state.lock:
            result = execute_sync(
                self._schema,
                document,
                context_value=context,
                variable_values=dict(request.get("variables") or {}),
                operation_name=request.get("operationName") or None,
                middleware=None if faults is None else [faults],
            )
        if faults is not None:
            faults.punch(result.data)
        return self._result_answer(result, context)

    def _result_answer(self, result: ExecutionResult, context: Context) -> Answer:
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = [resolver_error(error, self._words_of(error)) for error in result.errors]
        return json_answer(status_of(result.errors or [], result.data), body, frozenset(context.run_names))

    def _words_of(self, error: GraphQLError) -> str:
        if error.path is not None:
            return error.message
        # about variables, before anything was resolved
        return reword(error.message, wording=self._wording, suggests=self._introspection)


def json_answer(status: int, body: Any, run_names: frozenset[str] = frozenset()) -> Answer:
    return Answer(
        status=status,
        body=json_body(body),
        headers={"content-type": "application/json"},
        run_names=run_names,
    )


def errors_answer(status: int, *messages: str) -> Answer:
    """A refusal in GraphQL's shape."""
    return json_answer(status, errors_object(*messages))


__all__ = ["GraphQLEndpoint", "errors_answer", "json_answer", "schema"]
