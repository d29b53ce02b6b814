"""Which entry may go, by what became of those before it, and when one that failed is tried again."""

from __future__ import annotations

import datetime as dt

import msgspec

from mirror.backoff import JITTER, backoff_s
from mirror.outbox import OutboxReader
from mirror.records.addresses import RunPath
from mirror.records.operations import Create, Entry, touched
from mirror.replay.decide import Decision, Verdict

FIRST_WAIT_S = 5.0  # before an entry that failed for the moment is tried again; doubled for each further try
LONGEST_WAIT_S = 3600.0


class EarlierEntries(msgspec.Struct, kw_only=True):
    """What became of the entries of a run so far, as far as those behind them depend on it."""

    is_blocked: bool = False  # one of them is tried again later, and the order holds
    held: list[tuple[str, frozenset[str]]] = []  # those that a person has to settle: ids, and what they are about
    creation: tuple[Verdict, Entry] | None = None  # of the run, where that was refused or waits for a person
    given_up: str | None = None  # id of the creation, where a person gave it up: another run may have the id now

    def wait(self, entry: Entry, now: dt.datetime) -> Decision | None:
        """Whether an entry has to wait, whatever it asks; None: it need not.

        Args:
            entry: the next one of the run.
            now: UTC.
        """
        if self.is_blocked:
            return Decision(verdict="waiting", words="behind one of its run that is tried again later", blocks=True)
        if not may_go(entry, now):
            until = f"{entry.not_before:%Y-%m-%dT%H:%M:%SZ}"
            return Decision(verdict="waiting", words=f"it is tried again, not before {until}", blocks=True)
        about = touched(entry.operation)
        if any(held_id < entry.id and about & names for held_id, names in self.held):
            return Decision(verdict="waiting", words="behind an entry about the same, which is in conflict")
        return None

    def fate(self, entry: Entry) -> Decision | None:
        """What the creation of its run makes of an entry, where that made none; None: it is delivered."""
        if not needs_creation(entry):
            return None
        if self.creation is not None:
            verdict, creation = self.creation
            if verdict == "held":
                return Decision(
                    verdict="waiting", words=f"behind the creation of its run, {creation.id}, which is in conflict",
                    blocks=True,
                )  # fmt: skip
            why = f"its run was never made: entry {creation.id} was refused ({creation.reason})"
            return Decision(verdict="buried", words=why)
        if self.given_up is not None:
            return Decision(verdict="buried", words=f"its run was never made: entry {self.given_up} was given up")
        return None

    def note(self, entry: Entry, decision: Decision) -> None:
        """An entry was gone through, and this became of it."""
        if decision.verdict == "put_back" or decision.blocks:
            self.is_blocked = True
        elif decision.verdict in ("held", "waiting"):
            self.held.append((entry.id, touched(entry.operation)))
        if isinstance(entry.operation, Create):
            reason = decision.words if decision.verdict == "buried" else entry.reason
            is_made = decision.verdict not in ("held", "buried")
            self.creation = None if is_made else (decision.verdict, msgspec.structs.replace(entry, reason=reason))
            self.given_up = entry.id if decision.verdict == "theirs" else None


def needs_creation(entry: Entry) -> bool:
    """Whether an entry was queued for a run that was not made yet."""
    return entry.storage_id is None and not isinstance(entry.operation, Create)


def look_for_creation(outbox: OutboxReader, before: EarlierEntries, entry: Entry, given_up: str | None) -> None:
    """Note what became of the creation that an entry depends on: a person may have decided meanwhile.

    Args:
        outbox: where a creation lies that was refused, or waits.
        before: where it is noted.
        entry: depends on it.
        given_up: the entry that was to make the run, where a receipt says that it was given up.
    """
    aside = (placed for placed in outbox.of_run(entry.run_path, "dead", "conflict") if placed.entry.id < entry.id)
    failed = next((placed for placed in aside if isinstance(placed.entry.operation, Create)), None)
    before.creation = None if failed is None else ("held" if failed.state == "conflict" else "buried", failed.entry)
    if failed is None and given_up is not None:
        waiting = outbox.of_run(entry.run_path, "new", "claimed")
        given_up = None if any(isinstance(placed.entry.operation, Create) for placed in waiting) else given_up
    before.given_up = given_up


def later(attempts: int, now: dt.datetime, random: float) -> dt.datetime:
    """When an entry that failed for the moment is tried again, after so many attempts; `random` is from 0 to 1."""
    wait_s = backoff_s(attempts, first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S, draw=random)
    return now + dt.timedelta(seconds=wait_s)


def may_go(entry: Entry, now: dt.datetime) -> bool:
    """Whether an entry need not wait for its next attempt.

    A wait that is longer than any was begun by a wall clock that was ahead, and has been set right since.
    """
    longest = dt.timedelta(seconds=LONGEST_WAIT_S * (1 + JITTER))
    return entry.not_before is None or not now < entry.not_before <= now + longest


def is_due(outbox: OutboxReader, now: dt.datetime) -> bool:
    """Whether a round would have something to deliver now: the first entry of some run need not wait."""
    behind: set[RunPath] = {
        entry.run_path for _, entry in outbox.entries("conflict") if isinstance(entry.operation, Create)
    }
    for state, entry in outbox.entries("claimed", "new"):
        if state == "claimed" or (may_go(entry, now) and entry.run_path not in behind):
            return True
        behind.add(entry.run_path)
    return False
