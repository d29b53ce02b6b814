"""The GraphQL endpoint: the schema with its resolvers, parsed documents kept by text, errors with their statuses."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    execute_sync,
    parse,
    validate,
)

from .artifact_records import CollectionRecord
from .context import Context
from .records import RunRecord, UserRecord
from .state import SandboxState
from .storage import Answer
from .wire import SandboxError

# What a server of some years ago lacks: asking for it fails validation (W&B API notes, section 3).
_MODERN_FIELDS = {
    "ServerInfo": ("features",),
    "FileConnection": ("totalCount",),
    "Artifact": ("digestAlgorithm",),
    "Mutation": ("markRunFilesUploaded", "updateRunState", "enqueueSweepRun"),
}
_MODERN_ARGUMENTS = {("Run", "logLines"): "useImprovedPagination", ("Project", "sweeps"): "filters"}


@functools.cache
def schema(*, legacy: bool = False) -> GraphQLSchema:
    """The executable schema, built once a process; `legacy` is the one of an old server."""
    from .resolvers import TABLES

    text = resources.files(__package__).joinpath("schema.graphql").read_text(encoding="utf-8")
    built = build_schema(text, assume_valid=True)
    for table in TABLES:
        for path, resolver in table.items():
            type_name, _, field_name = path.partition(".")
            _object(built, type_name).fields[field_name].resolve = resolver
    if legacy:
        for type_name, field_names in _MODERN_FIELDS.items():
            for name in field_names:
                del _object(built, type_name).fields[name]
        for (type_name, field_name), argument in _MODERN_ARGUMENTS.items():
            del _object(built, type_name).fields[field_name].args[argument]
    creator = built.get_type("ArtifactCreator")
    collection = built.get_type("ArtifactCollection")
    for abstract in (creator, collection):
        assert isinstance(abstract, GraphQLInterfaceType | GraphQLUnionType)
        abstract.resolve_type = _resolve_type
    return built


def _object(built: GraphQLSchema, name: str) -> GraphQLObjectType:
    found = built.get_type(name)
    assert isinstance(found, GraphQLObjectType), name
    return found


def _resolve_type(value: Any, _info: Any, _type: Any) -> str:
    if isinstance(value, RunRecord):
        return "Run"
    if isinstance(value, CollectionRecord):
        return "ArtifactPortfolio" if value.kind == "PORTFOLIO" else "ArtifactSequence"
    return "User"


class GraphQLEndpoint:
    """Answers `POST /graphql`."""

    def __init__(self, state: SandboxState, *, legacy: bool) -> None:
        self._state = state
        self._schema = schema(legacy=legacy)
        self._documents: dict[str, DocumentNode | list[GraphQLError]] = {}

    def answer(self, request: Mapping[str, Any], user: UserRecord | None) -> Answer:
        """Execute one request ({"query", "variables", "operationName"}) under the state's lock."""
        query = request.get("query")
        if not isinstance(query, str):
            return errors_answer(400, "Must provide query string.")
        document = self._document(query)
        if isinstance(document, list):
            # Double quotes, as W&B spells it: the SDK looks for `field "features" on type "ServerInfo"` in the text.
            return errors_answer(400, *(error.message.replace("'", '"') for error in document))
        context = Context(state=self._state, user=user)
        with self._state.lock:
            result = execute_sync(
                self._schema,
                document,
                context_value=context,
                variable_values=dict(request.get("variables") or {}),
                operation_name=request.get("operationName") or None,
            )
        return _result_answer(result, context)

    def _document(self, query: str) -> DocumentNode | list[GraphQLError]:
        held = self._documents.get(query)
        if held is None:
            try:
                document = parse(query)
            except GraphQLError as error:
                held = [error]
            else:
                held = validate(self._schema, document) or document
            if len(self._documents) > 500:
                self._documents.clear()
            self._documents[query] = held
        return held


def _result_answer(result: ExecutionResult, context: Context) -> Answer:
    body: dict[str, Any] = {"data": result.data}
    status = 200
    if result.errors:
        body["errors"] = [_spell_error(error) for error in result.errors]
        for error in result.errors:
            if isinstance(error.original_error, SandboxError):
                status = max(status, error.original_error.status)
            elif result.data is None and error.path is None:
                status = 400  # variables that do not fit the document
    return json_answer(status, body, frozenset(context.run_names))


def _spell_error(error: GraphQLError) -> dict[str, Any]:
    spelled: dict[str, Any] = {"message": error.message}
    if error.path:
        spelled["path"] = error.path
    return spelled


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
