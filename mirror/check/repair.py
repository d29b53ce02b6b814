"""Take damaged objects out of the way, so that the next pull fetches them again from W&B.

The order, and what a crash leaves:

    1. the object moved into damaged/DATE/     crash: a row names an object that is missing; `repair` goes on with it
    2. its rows marked, in one commit          crash before: the same; after: the next pull fetches it

Nothing is removed. What W&B no longer has stays where it is, damaged: nothing could take its place. Tables, the catalog
and the outbox are no business of this: a backup is, or the person who queued something. A queued upload of bytes that
W&B has, too, gets them back with the next pull.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import msgspec

from mirror.check.findings import Damage, FindingKind
from mirror.check.report import VerifyReport
from mirror.durable import make_folder, move
from mirror.locks import locked
from mirror.store.care.inspection import referrers, tables_of
from mirror.store.care.objects import object_path
from mirror.store.care.repairs import mark_lost
from mirror.store.engine.connection import Engine, store_errors
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects, hash_file


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a repair would do about a report."""

    aside: list[str]  # digests of damaged objects that go out of the way
    missing: list[str]  # digests that rows name and that are not there
    left: list[Damage]  # what it can do nothing about

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.aside or self.missing)


def plan_repair(engine: Engine, report: VerifyReport, needed: Iterable[str]) -> Plan:
    """Decide; changes nothing.

    Args:
        engine: with the lake attached.
        report: of a whole check.
        needed: digests that the outbox needs. What W&B has, too, is fetched again, and is there for both.
    """
    tables = tables_of(engine)
    blocked = frozenset(needed)
    objects, absent = _by_object(report, "object_damaged"), _by_object(report, "object_missing")
    names = referrers(engine, tables, [*objects, *absent])
    aside, missing = [], []
    left = [one for one in report.findings if one.kind not in ("object_damaged", "object_missing")]
    for digest, findings in objects.items():
        held = names.get(digest)
        if (held is None and digest not in blocked) or (held is not None and held.upstream):
            aside.append(digest)
        else:
            left += findings
    for digest, findings in absent.items():
        held = names.get(digest)
        if held is None or not held.upstream:
            left += findings
        else:
            missing.append(digest)
    return Plan(aside=aside, missing=missing, left=left)


def _by_object(report: VerifyReport, kind: FindingKind) -> dict[str, list[Damage]]:
    """Findings of a kind by the digest of the object: rows and queued uploads may need the same one."""
    found: dict[str, list[Damage]] = {}
    for one in report.findings:
        if one.kind == kind:
            found.setdefault(one.path.rpartition("/")[2], []).append(one)
    return found


def repair(lake: Lake, plan: Plan, now: dt.datetime) -> int:
    """Do it.

    Args:
        lake: opened for writing.
        plan: of this home.
        now: UTC; names the folder.

    Returns:
        How many things of runs the next pull fetches again.

    Raises:
        StoreError: the disk failed; what was moved is in `damaged/`, and doing it again goes on.
    """
    objects = Objects(lake.home)
    with store_errors(lake.home):
        lost = [*plan.missing, *(digest for digest in plan.aside if _moved(objects, digest, now))]
    if not lost:
        return 0
    with lake.transaction() as engine:
        return mark_lost(engine, lost, now)


def _moved(objects: Objects, digest: str, now: dt.datetime) -> bool:
    """Move an object that is still damaged; False when it is sound by now."""
    day = now.strftime("%Y-%m-%d")
    home = objects.home
    if (shared := objects.shared) is not None:
        if shared.sha256(digest) in (None, digest):
            return False
        shared.set_aside(digest, f"{day}/{digest}")
        return True
    path = object_path(home, digest)
    folder = home.damaged / day
    make_folder(folder)
    with locked(home.objects_lock):
        if not path.exists() or hash_file(path) == digest:
            return False
        move(path, folder / digest)
    return True
