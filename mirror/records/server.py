"""What is known of the server that a home mirrors: its types as far as the mirror uses them, its features, its version,
and whom it knows by the key.

Names are those of a GraphQL schema: `Type.field`, `Type.field(argument)`, `Input.field`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import msgspec


class FieldFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A field of a type."""

    type: str  # as GraphQL writes it: `[RunEdge!]!`
    child: str | None = None  # the type of its value, by the name that a current server has for it; None: a leaf
    arguments: Mapping[str, str] = {}  # types by name
    required: tuple[str, ...] = ()  # arguments that must be given


class TypeFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A type, as the server describes it."""

    kind: str  # OBJECT, INTERFACE, UNION, INPUT_OBJECT, SCALAR, ENUM
    fields: Mapping[str, FieldFacts] = {}  # of an object; of an input object without arguments


class Viewer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom the API key belongs to."""

    username: str
    entity: str | None = None  # the default entity
    teams: tuple[str, ...] = ()  # names of the teams, in the server's order
    id: str | None = None  # W&B's opaque id
    name: str | None = None  # the name that people see
    email: str | None = None
    admin: bool | None = None  # of the whole server


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a server knows. Where nothing is known of a type or field, the server is taken to be a current one.

    Types have the names of a current server, whatever this one calls them.
    """

    deployment: str = ""  # `Deployment.id`
    learnt_at: dt.datetime | None = None  # UTC; None: it was never asked
    version: str | None = None  # of a server of one's own; None: it does not tell
    asked: str = ""  # digest of the documents that it was asked about, which an upgrade of the mirror changes
    mark: str = ""  # digest of version and features, which an upgrade changes
    introspected: bool = False  # `types` come from the server's own description
    features: tuple[str, ...] = ()  # names of those that are on
    types: Mapping[str, TypeFacts] = {}
    left_out: tuple[str, ...] = ()  # what the mirror asks of a current server and not of this one, sorted
    lacking: tuple[str, ...] = ()  # `Type.field` and `Type.field(argument)` that are not asked: the server refused them
    # Those that it has and forbids or fails at, with the time when that showed, UTC. One that is in `lacking` no more
    # is asked again, and the first to be doubted.
    failing: Mapping[str, dt.datetime] = {}
    # When it came to serve something of runs that it had not served before, UTC: what runs lack of it is fetched then.
    gained_at: dt.datetime | None = None
    viewer: Viewer | None = None  # by the key that asked last; None: it was never asked, or does not tell
    retyped: Mapping[str, str] = {}  # types that variables must have by the server's refusals, by `Operation $name`

    @property
    def unserved(self) -> frozenset[str]:
        """What the mirror asks of a current server and does not get from this one."""
        return frozenset({*self.left_out, *self.lacking, *self.failing})
