"""The end of a story: is the mirror the server's truth, and is every operation accounted for?"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from mirror.layout import Home
from mirror.outbox import OutboxReader
from mirror.sandbox import Sandbox
from mirror.store.sql.statements import connect, run_sql
from tests.daemon.soak.hands import content_of
from tests.daemon.soak.local_life import Asked
from tests.daemon.soak.remote_life import plain_config
from tests.daemon.soak.requests import Requests
from tests.mirroring import ENGINE, Mirror
from tests.truth import differences

Path3 = tuple[str, str, str]


class Judge:
    """Compares; each method gives sentences about what is wrong.

    Args:
        sandbox: the server.
        home: the mirror's.
    """

    def __init__(self, sandbox: Sandbox, home: Home) -> None:
        self._sandbox = sandbox
        self._home = home

    def rows(self, query: str) -> list[dict[str, Any]]:
        """An answer of the mirror."""
        with connect(self._home, settings=ENGINE) as engine:
            return list(run_sql(engine, query, ()).plain_rows())

    def mirrored(self) -> set[Path3]:
        """Every run that the mirror holds, gone ones too."""
        return {(row["entity"], row["project"], row["run_id"]) for row in self.rows("SELECT * FROM lake.runs")}

    def wrong_runs(self) -> Iterator[str]:
        """Runs whose fields differ from the server's."""
        held = {(row["entity"], row["project"], row["run_id"]): row for row in self.rows("SELECT * FROM lake.runs")}
        with self._sandbox.state.lock:
            for (entity, project), owner in self._sandbox.state.projects.items():
                for name, run in owner.runs.items():
                    row = held.pop((entity, project, name), None)
                    if row is None:
                        yield f"{entity}/{project}/{name} is not held"
                        continue
                    true = (
                        run.display_name, run.tags, run.state, run.notes, run.config_text, run.summary_text,
                        run.heartbeat_at, None,
                    )  # fmt: skip
                    fields = (
                        "display_name", "tags", "state", "notes", "config_wire", "summary_wire", "heartbeat_at_text",
                        "gone_at",
                    )  # fmt: skip
                    for field, value in zip(fields, true, strict=True):
                        if row[field] != value:
                            yield f"{field} of {entity}/{project}/{name}: {row[field]!r}, the server has {value!r}"
        yield from (f"{path} is not marked as gone" for path, row in held.items() if row["gone_at"] is None)

    def wrong_contents(self) -> Iterator[str]:
        """Histories, files and streams that differ."""
        mirror = Mirror(url=self._sandbox.url, api_key=self._sandbox.api_key, home=self._home)
        for entity, project in sorted(self._sandbox.state.projects):
            for words in differences(self._sandbox, mirror, entity=entity, project=project):
                yield f"{entity}/{project}: {words}"

    def unaccounted(self, asked: Sequence[Asked], requests: Requests) -> Iterator[str]:
        """Operations that disappeared, took effect twice, or are said to be done and are not."""
        receipts = self.rows("SELECT * FROM receipts")
        delivered = Counter(one["id"] for one in receipts if one["outcome"] != "buried")
        yield from (f"{id_} was delivered {count} times" for id_, count in delivered.items() if count > 1)
        outcome = {id_: one["outcome"] for one in receipts for id_ in (one["id"], *one["folded"])}
        ends = {id_ for id_, how in outcome.items() if how != "buried"}
        left = {
            id_: placed
            for placed in OutboxReader(self._home).entries()
            for id_ in (placed.entry.id, *placed.entry.folded)
        }
        yield from (f"{id_} still waits: {one}" for id_, one in left.items() if one.state in {"new", "claimed"})
        yield from (f"{id_} is delivered and still there" for id_ in ends & left.keys() if outcome[id_] != "buried")
        for one in asked:
            if one.id not in ends and one.id not in left:
                yield f"{one} has disappeared"
            elif outcome.get(one.id) in {"applied", "already_so"} and not self._shows(one):
                yield f"{one} was {outcome[one.id]}, and the server does not show it"
        for place, values in requests.counted.items():
            if any(later < earlier for earlier, later in pairwise(values)):
                yield f"the count {place} went back: {values}"
        yield from (f"run {name} was made {count} times" for name, count in requests.created.items() if count > 1)

    def lost(self, ever: set[Path3]) -> Iterator[str]:
        """Runs that were mirrored at some time and are not there any more, or are gone upstream and not marked so."""
        gone = {
            (row["entity"], row["project"], row["run_id"]): row["gone_at"]
            for row in self.rows("SELECT * FROM lake.runs")
        }
        with self._sandbox.state.lock:
            upstream = {(*place, name) for place, owner in self._sandbox.state.projects.items() for name in owner.runs}
        for path in sorted(ever):
            if path not in gone:
                yield f"{path} was mirrored once, and has disappeared"
            elif (gone[path] is None) != (path in upstream):
                yield f"{path} is gone at {gone[path]}, and {'' if path in upstream else 'not '}upstream"

    def _shows(self, one: Asked) -> bool:
        """Whether an operation's mark is there; marks that others overwrite are not asked for."""
        with self._sandbox.state.lock, contextlib.suppress(KeyError):
            run = self._sandbox.state.run(*one.run)
            if one.kind == "tag":
                return run.tags.count(f"t{one.number}") == 1
            if one.kind == "config":
                return bool(plain_config(run).get(f"c{one.number}") == one.number)
            if one.kind == "upload" and one.name != "model.pt":
                record = run.files.get(one.name)
                body = None if record is None else self._sandbox.state.bucket.get(record.object_key)
                return body == content_of(one.number)
            return one.kind != "delete"
        return True  # the run was deleted since

    def outcomes(self, asked: Sequence[Asked]) -> Counter[str]:
        """What became of the operations."""
        receipts = self.rows("SELECT * FROM receipts ORDER BY ended_at")
        outcome = {id_: one["outcome"] for one in receipts for id_ in (one["id"], *one["folded"])}
        entries = list(OutboxReader(self._home).entries())
        states = {id_: str(one.state) for one in entries for id_ in (one.entry.id, *one.entry.folded)}
        return Counter(states.get(one.id) or outcome.get(one.id, "lost") for one in asked)
