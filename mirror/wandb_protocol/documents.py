"""A client's text as a document that may be executed, or why it may not."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from graphql import ASTValidationRule, DocumentNode, GraphQLError, GraphQLSchema, parse, specified_rules, validate

LOCATED = 100_000  # characters of a document up to which errors have lines: to count them takes a pass for each error


@dataclass(frozen=True, kw_only=True)
class RefusedDocument:
    """Why a document is not executed."""

    code: str
    errors: list[GraphQLError]


def checked_document(
    schema: GraphQLSchema,
    text: str,
    more_rules: Collection[type[ASTValidationRule]] = (),
    max_tokens: int | None = None,
    refusal: Callable[[DocumentNode], str | None] = lambda _: None,
) -> DocumentNode | RefusedDocument:
    """A text, parsed and checked against a schema.

    Args:
        schema: what there is to ask for.
        text: of the client.
        more_rules: beside those of the specification.
        max_tokens: a longer text is refused before it is read to the end.
        refusal: says why a document is not even checked; None: it is.
    """
    try:
        document = parse(text, max_tokens=max_tokens, no_location=len(text) > LOCATED)
    except GraphQLError as error:
        return RefusedDocument(code="GRAPHQL_PARSE_FAILED", errors=[error])
    except RecursionError:
        return RefusedDocument(code="GRAPHQL_PARSE_FAILED", errors=[GraphQLError("the document nests too deeply")])
    if (reason := refusal(document)) is not None:
        return RefusedDocument(code="DOCUMENT_TOO_LARGE", errors=[GraphQLError(reason)])
    errors = validate(schema, document, [*specified_rules, *more_rules])
    return RefusedDocument(code="GRAPHQL_VALIDATION_FAILED", errors=errors) if errors else document
