"""A refusal of a document's form is read as a fact about the server, in the words of many GraphQL libraries."""

from __future__ import annotations

import pytest

from mirror.api.fitting.refusals import Refusal, is_about_form, refusal_of
from mirror.errors import Reported

WORDS = [
    ('Cannot query field "x" on type "Run".', Refusal(type="Run", field="x")),
    ('Cannot query field "x" on type "Run". Did you mean "y"?', Refusal(type="Run", field="x")),
    ("Cannot query field 'x' on type 'Run'.", Refusal(type="Run", field="x")),
    ("Field 'x' doesn't exist on type 'Run'", Refusal(type="Run", field="x")),
    (
        "Validation error (FieldUndefined@[run/x]) : Field 'x' in type 'Run' is undefined",
        Refusal(type="Run", field="x"),
    ),
    ("field 'x' not found in type: 'Run'", Refusal(type="Run", field="x")),
    ('Unknown argument "a" on field "Run.x".', Refusal(type="Run", field="x", argument="a")),
    ('Unknown argument "a" on field "x" of type "Run".', Refusal(type="Run", field="x", argument="a")),
    ("Unknown argument 'a' on field 'Run.x'.", Refusal(type="Run", field="x", argument="a")),
    (
        'Variable "$input" got invalid value {...}; Field "notes" is not defined by type "UpsertBucketInput".',
        Refusal(type="UpsertBucketInput", field="notes"),
    ),
    ('Variable "$input" got invalid value. In field "notes": Unknown field.', Refusal(input="notes")),
    (
        'Variable "$from" of type "Int64!" used in position expecting type "Int".',
        Refusal(variable="from", expected="Int"),
    ),
    ('Unknown type "UpdateRunStateInput".', Refusal(unknown_type="UpdateRunStateInput")),
    ('Field "x" must not have a selection since type "Int" has no subfields.', Refusal(field="x")),
    ('Field "x" of type "Thing!" must have a selection of subfields. Did you mean "x { ... }"?', Refusal(field="x")),
    ('Field "x" argument "a" of type "Int!" is required, but it was not provided.', Refusal(field="x")),
]


@pytest.mark.parametrize(("words", "meant"), WORDS)
def test_words_of_many_libraries_are_understood(words: str, meant: Refusal) -> None:
    assert is_about_form(Reported(message=words))
    assert refusal_of(Reported(message=words)) == meant


def test_a_code_tells_it_as_well_and_the_place_is_kept() -> None:
    error = Reported(message="no", code="GRAPHQL_VALIDATION_FAILED", line=1, column=7)
    assert is_about_form(error)
    assert refusal_of(error) == Refusal(line=1, column=7)


@pytest.mark.parametrize(
    "error",
    [
        Reported(message="permission denied", path=("upsertBucket",), code="PERMISSION_ERROR"),
        Reported(message="run not found for history loading: e/p/r"),
        Reported(message='Cannot query field "x" on type "Run".', path=("project", "run")),  # a resolver's own words
        Reported(message="invalid state transition from finished to failed"),
        Reported(message="an error without a message"),
    ],
)
def test_other_errors_are_no_refusals_of_the_form(error: Reported) -> None:
    assert not is_about_form(error)
