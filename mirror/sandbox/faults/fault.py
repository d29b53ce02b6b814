"""Faults on purpose: what a test adds here shapes answers until it is used up or cleared.

A fault wraps an answer and is never woven into it: the code that computes the real answer does not know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any, Literal

from mirror.sandbox.recorder import Kind
from mirror.sandbox.schema.request_cost import Cost, cost_by_rows
from mirror.sandbox.storage import Answer, xml_answer

Effect = Literal[
    "answer",
    "latency",
    "expired",
    "rate_limit",
    "scaled_rate_limit",
    "field_error",
    "null_node",
    "drop",
    "drop_mid_body",
    "trickle",
    "truncate",
    "corrupt",
    "lie",
]
Connection = Literal["files", "artifacts", "runs", "edges"]
"""Where nodes are null: in these connections, or whole edges in all three."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """Which requests a fault shapes; every condition given must hold."""

    kind: Kind | None = None
    operation: str | None = None  # GraphQL operation name
    path: str | None = None  # substring of the path
    method: str | None = None
    variables: Callable[[Mapping[str, Any]], bool] | None = None  # predicate on the GraphQL variables
    contains_run: str | None = None  # only answers that show the run of this id
    query: str | None = None  # substring of the GraphQL document


@dataclass(frozen=True, kw_only=True)
class RequestFacts:
    """What is known of a request before it is answered."""

    method: str
    path: str
    kind: Kind
    operation: str | None = None
    variables: Mapping[str, Any] = dataclass_field(default_factory=dict)
    query: str | None = None
    caller: str = dataclass_field(default="", repr=False)  # who is counted: the credentials, or the address without any

    def meets(self, match: Match) -> bool:
        return (
            (match.kind is None or match.kind == self.kind)
            and (match.operation is None or match.operation == self.operation)
            and (match.path is None or match.path in self.path)
            and (match.method is None or match.method == self.method)
            and (match.query is None or match.query in (self.query or ""))
            and (match.variables is None or match.variables(self.variables))
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Fault:
    """One way to go wrong. Make it with one of the class methods.

    `times` is how many answers it shapes (None: all), `match` which ones. Faults about bytes choose storage requests
    when no match is given, faults about queries GraphQL requests, the others everything.
    """

    effect: Effect
    match: Match
    times: int | None = None
    acts: bool = False  # the server does what was asked before the fault shows
    answer: Answer | None = None
    seconds: float = 0.0
    keep: float = 0.5  # share of the body that arrives
    limit: int = 0
    edit: Callable[[Any], Any] | None = None
    field: str = ""  # Type.field that errors
    run: str | None = None  # run id of the one run whose field errors
    message: str = ""
    http_status: int = 200  # HTTP status of an answer with such a field
    connection: Connection = "edges"
    every: int = 1
    budget: float = 0.0  # cost that a window takes
    cost: Cost = cost_by_rows
    tells_retry_after: bool = False
    label: str = ""

    @classmethod
    def status(
        cls,
        status: int,
        *,
        retry_after: float | str | None = None,
        body: bytes | str | None = None,
        times: int | None = None,
        match: Match | None = None,
    ) -> Fault:
        """Answer `status` without acting. `retry_after` is seconds or an RFC 1123 date; `body` defaults to JSON."""
        headers = {"content-type": "application/json"} if body is None else {"content-type": "text/plain"}
        if retry_after is not None:
            headers["retry-after"] = str(retry_after)
        text = json.dumps({"errors": [{"message": f"sandbox fault {status}"}]}) if body is None else body
        raw = text if isinstance(text, bytes) else text.encode()
        return cls._answer(
            f"status {status}", Answer(status=status, body=raw, headers=headers), times, match or Match()
        )

    @classmethod
    def html(cls, status: int = 502, *, times: int | None = None, match: Match | None = None) -> Fault:
        """An HTML page, as a proxy sends it; with status 200 it is a captive portal."""
        page = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>".encode()
        answer = Answer(status=status, body=page, headers={"content-type": "text/html"})
        return cls._answer("html", answer, times, match or Match())

    @classmethod
    def graphql_error(
        cls, message: str, *, status: int = 200, times: int | None = None, match: Match | None = None
    ) -> Fault:
        """An answer with `errors` and null `data`, without acting."""
        body = json.dumps({"data": None, "errors": [{"message": message}]}).encode()
        answer = Answer(status=status, body=body, headers={"content-type": "application/json"})
        return cls._answer("graphql_error", answer, times, match or Match(kind="graphql"))

    @classmethod
    def poisoned_run(cls, run: str, message: str = "internal error", *, status: int = 200) -> Fault:
        """Every GraphQL answer that would show run `run` (its run id) errors; answers without it are right."""
        return cls.graphql_error(message, status=status, match=Match(kind="graphql", contains_run=run))

    @classmethod
    def _answer(cls, label: str, answer: Answer, times: int | None, match: Match) -> Fault:
        return cls(effect="answer", match=match, times=times, answer=answer, label=label)

    @classmethod
    def latency(cls, seconds: float, *, times: int | None = None, match: Match | None = None) -> Fault:
        """Answer late; other faults still apply."""
        return cls(effect="latency", match=match or Match(), times=times, seconds=seconds, label="latency")

    @classmethod
    def expired_urls(cls, *, times: int | None = None, match: Match | None = None) -> Fault:
        """Signed URLs are refused as expired (403, XML)."""
        return cls(effect="expired", match=match or Match(kind="storage"), times=times, label="expired_urls")

    @classmethod
    def rate_limit(cls, limit: int, window_s: float, *, match: Match | None = None) -> Fault:
        """`limit` requests a window, announced in RateLimit headers; over it 429 with Retry-After."""
        chosen = match or Match(kind="graphql")
        return cls(effect="rate_limit", match=chosen, limit=limit, seconds=window_s, label="rate_limit")

    @classmethod
    def scaled_rate_limit(
        cls,
        budget: float,
        window_s: float,
        *,
        retry_after: bool = False,
        cost: Cost = cost_by_rows,
        match: Match | None = None,
    ) -> Fault:
        """`budget` units of `cost` a window, for each project and for each caller of requests without one.

        Headers tell it at a scale of 1000, as W&B does; over it 429 `{"error": "rate limit exceeded"}`.
        """
        return cls(
            effect="scaled_rate_limit",
            match=match or Match(kind="graphql"),
            budget=budget,
            seconds=window_s,
            cost=cost,
            tells_retry_after=retry_after,
            label="scaled_rate_limit",
        )

    @classmethod
    def field_error(
        cls,
        path: str,
        *,
        run: str | None = None,
        message: str = "internal error",
        status: int = 200,
        times: int | None = None,
        match: Match | None = None,
    ) -> Fault:
        """The field `Type.field` errors, for one run or for all; everything else in the answer is data.

        `times` counts the answers in which it shows; `status` is the HTTP status of those.
        """
        chosen = match or Match(kind="graphql")
        return cls(
            effect="field_error",
            match=chosen,
            times=times,
            field=path,
            run=run,
            message=message,
            http_status=status,
            label=f"field_error {path}",
        )

    @classmethod
    def null_node(
        cls, connection: Connection, *, every: int = 1, times: int | None = None, match: Match | None = None
    ) -> Fault:
        """Every n-th `node` of a page is null; with connection "edges" every n-th edge of any."""
        chosen = match or Match(kind="graphql")
        return cls(effect="null_node", match=chosen, times=times, connection=connection, every=every, label="null_node")

    @classmethod
    def drop(cls, *, times: int | None = None, match: Match | None = None) -> Fault:
        """The connection goes away, nothing was done."""
        return cls(effect="drop", match=match or Match(), times=times, label="drop")

    @classmethod
    def lost_answer(cls, *, times: int | None = None, match: Match | None = None) -> Fault:
        """The server acts, then the connection goes away before the answer."""
        return cls(effect="drop", match=match or Match(), times=times, acts=True, label="lost_answer")

    @classmethod
    def drop_mid_body(cls, *, keep: float = 0.5, times: int | None = None, match: Match | None = None) -> Fault:
        """The right headers, `keep` of the body, then the connection goes away."""
        chosen = match or Match(kind="storage")
        return cls(effect="drop_mid_body", match=chosen, times=times, acts=True, keep=keep, label="drop_mid_body")

    @classmethod
    def trickle(cls, bytes_per_s: int, *, times: int | None = None, match: Match | None = None) -> Fault:
        """The right answer, at so many bytes a second."""
        chosen = match or Match(kind="storage")
        return cls(effect="trickle", match=chosen, times=times, acts=True, limit=bytes_per_s, label="trickle")

    @classmethod
    def truncate_body(cls, *, keep: float = 0.5, times: int | None = None, match: Match | None = None) -> Fault:
        """`keep` of the body under a Content-Length that agrees with it: nothing in HTTP shows the loss."""
        chosen = match or Match(kind="storage")
        return cls(effect="truncate", match=chosen, times=times, acts=True, keep=keep, label="truncate_body")

    @classmethod
    def corrupt_body(cls, *, times: int | None = None, match: Match | None = None) -> Fault:
        """One byte in the middle of the body is another one."""
        chosen = match or Match(kind="storage")
        return cls(effect="corrupt", match=chosen, times=times, acts=True, label="corrupt_body")

    @classmethod
    def lie(cls, edit: Callable[[Any], Any], *, times: int | None = None, match: Match | None = None) -> Fault:
        """`edit` gets the parsed JSON answer and changes it, or returns another: wrong types, missing fields."""
        chosen = match or Match(kind="graphql")
        return cls(effect="lie", match=chosen, times=times, acts=True, edit=edit, label="lie")

    def shape(self, answer: Answer) -> Answer:
        """The answer as this fault leaves it (for the effects that rewrite a finished answer)."""
        body = answer.body
        if self.effect == "truncate":
            return replace(answer, body=body[: int(len(body) * self.keep)])
        if self.effect == "corrupt" and body:
            middle = len(body) // 2
            return replace(answer, body=body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :])
        if self.effect == "lie" and self.edit is not None:
            value = json.loads(body)
            edited = self.edit(value)
            return replace(answer, body=json.dumps(value if edited is None else edited).encode())
        if self.effect == "expired":
            return xml_answer(403, "ExpiredToken")
        return self.answer or answer
