"""The GraphQL endpoint: the schema with its resolvers, parsed documents kept by text, errors with their statuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    ASTValidationRule,
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    execute_sync,
    parse,
    specified_rules,
    validate,
)

from .context import Context
from .field_faults import FieldFaults
from .records import UserRecord
from .refusals import Wording, reword, spell_refusal
from .schemas import SchemaForm, schema, schema_of
from .state import SandboxState
from .storage import Answer
from .wire import SandboxError


class NoIntrospection(ASTValidationRule):
    """Refuses `__schema` and `__type`, as servers in production do."""

    def enter_field(self, node: FieldNode, *_arguments: Any) -> None:
        if node.name.value in ("__schema", "__type"):
            self.report_error(GraphQLError("GraphQL introspection is not allowed", node))


@dataclass(frozen=True, kw_only=True)
class _Refusal:
    """Why a document is not executed."""

    code: str
    errors: list[GraphQLError]


class GraphQLEndpoint:
    """Answers `POST /graphql`."""

    def __init__(self, state: SandboxState, *, form: SchemaForm, introspection: bool, wording: Wording) -> None:
        self._state = state
        self._schema = schema_of(form)
        self._introspection, self._wording = introspection, wording
        self._rules = [*specified_rules, *([] if introspection else [NoIntrospection])]
        self._documents: dict[str, DocumentNode | _Refusal] = {}

    def answer(self, request: Mapping[str, Any], user: UserRecord | None, faults: FieldFaults | None = None) -> Answer:
        """Execute one request ({"query", "variables", "operationName"}) under the state's lock."""
        query = request.get("query")
        if not isinstance(query, str):
            return errors_answer(400, "Must provide query string.")
        document = self._document(query)
        if isinstance(document, _Refusal):
            # Suggestions would tell what may not be asked.
            errors = [
                spell_refusal(error, code=document.code, wording=self._wording, suggests=self._introspection)
                for error in document.errors
            ]
            return json_answer(400, {"errors": errors})
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
        status = 200
        if result.errors:
            body["errors"] = [self._spell_error(error) for error in result.errors]
            for error in result.errors:
                if isinstance(error.original_error, SandboxError):
                    status = max(status, error.original_error.status)
                elif result.data is None and error.path is None:
                    status = 400  # variables that do not fit the document
        return json_answer(status, body, frozenset(context.run_names))

    def _spell_error(self, error: GraphQLError) -> dict[str, Any]:
        spelled: dict[str, Any] = {"message": error.message}
        if error.path is None:  # about variables, before anything was resolved
            spelled["message"] = reword(error.message, wording=self._wording, suggests=self._introspection)
        if error.path:
            spelled["path"] = error.path
        original = error.original_error
        if isinstance(original, SandboxError) and original.code is not None:
            spelled["extensions"] = {"code": original.code}
        return spelled

    def _document(self, query: str) -> DocumentNode | _Refusal:
        held = self._documents.get(query)
        if held is None:
            try:
                document = parse(query)
            except GraphQLError as error:
                held = _Refusal(code="GRAPHQL_PARSE_FAILED", errors=[error])
            else:
                errors = validate(self._schema, document, self._rules)
                held = _Refusal(code="GRAPHQL_VALIDATION_FAILED", errors=errors) if errors else document
            if len(self._documents) > 500:
                self._documents.clear()
            self._documents[query] = held
        return held


def json_answer(status: int, body: Any, run_names: frozenset[str] = frozenset()) -> Answer:
    return Answer(
        status=status,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"),
        headers={"content-type": "application/json"},
        run_names=run_names,
    )


def errors_answer(status: int, *messages: str) -> Answer:
    """A refusal in GraphQL's shape."""
    return json_answer(status, {"errors": [{"message": message} for message in messages]})


__all__ = ["GraphQLEndpoint", "errors_answer", "json_answer", "schema"]
