"""The executable schema of a server: the text with its resolvers, less what a server of its age lacks."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from graphql import GraphQLSchema

from mirror.sandbox.schema.ages import LACKS, LEGACY_LACKS, Age
from mirror.sandbox.schema.pruning import prune, retype
from mirror.sandbox.state.records import CollectionRecord, RunRecord
from mirror.wandb_protocol.schema import executable_schema

InputArtifactsType = Literal["ArtifactConnection", "InputArtifactConnection"]


@dataclass(frozen=True, kw_only=True)
class SchemaForm:
    """Which schema a server has."""

    age: Age = "now"
    hide: frozenset[str] = frozenset()  # references, as `pruning` takes them
    input_artifacts_type: InputArtifactsType = "InputArtifactConnection"  # of Run.inputArtifacts

    @classmethod
    def of(
        cls,
        *,
        age: Age = "now",
        hide: Iterable[str] = (),
        input_artifacts_type: InputArtifactsType = "InputArtifactConnection",
        legacy: bool = False,
    ) -> SchemaForm:
        """The form of a server's settings; `legacy` is a server without features and what came with them."""
        hidden = frozenset(hide) | (LEGACY_LACKS if legacy else frozenset())
        return cls(age=age, hide=hidden, input_artifacts_type=input_artifacts_type)


@functools.lru_cache(maxsize=256)
def schema_of(form: SchemaForm) -> GraphQLSchema:
    """The executable schema of a form, built once a process.

    Raises:
        ValueError: `hide` names what the schema does not have.
    """
    from mirror.sandbox.resolvers import TABLES

    built = executable_schema(TABLES, dict.fromkeys(("Initiator", "ArtifactCollection"), _resolve_type))
    retype(built, "Run.inputArtifacts", form.input_artifacts_type)
    return prune(built, form.hide | LACKS[form.age])


def _resolve_type(value: Any, _info: Any, _type: Any) -> str:
    if isinstance(value, RunRecord):
        return "Run"
    if isinstance(value, CollectionRecord):
        return "ArtifactPortfolio" if value.kind == "PORTFOLIO" else "ArtifactSequence"
    return "User"


def schema(
    *,
    legacy: bool = False,
    age: Age = "now",
    hide: Iterable[str] = (),
    input_artifacts_type: InputArtifactsType = "InputArtifactConnection",
) -> GraphQLSchema:
    """The executable schema of a server with these settings, for tests that validate documents against it."""
    return schema_of(SchemaForm.of(age=age, hide=hide, input_artifacts_type=input_artifacts_type, legacy=legacy))
