"""What the mirror's user does, in processes of their own; and a list of everything that was acknowledged."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.daemon.soak.children import Hands
from tests.daemon.soak.remote_life import RemoteLife

KINDS = {
    "tag": 20, "config": 20, "count": 20, "shared": 8, "notes": 8, "summary": 6, "state": 6, "upload": 10,
    "create": 6, "delete": 1,
}  # fmt: skip
PROJECTS = (("team", "alpha"), ("team", "beta"), ("lab", "cron"), ("lab", "p0"))


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An operation that was acknowledged."""

    id: str
    number: int
    kind: str
    run: tuple[str, str, str]
    by: str  # whose hands
    name: str  # of an upload


class LocalLife:
    """Commands hands.

    Args:
        hands: who queues, by name.
        remote: whose runs are edited.
        chance: decides.
    """

    def __init__(self, hands: dict[str, Hands], remote: RemoteLife, chance: random.Random) -> None:
        self._hands = hands
        self._remote = remote
        self._chance = chance
        self._number = 0
        self._created: list[tuple[str, str, str]] = []
        self.asked: list[Asked] = []
        self.refused: Counter[str] = Counter()  # by kind; nothing was queued

    def act(self) -> None:
        """One command."""
        chance = self._chance
        self._number += 1
        number = self._number
        by = chance.choice(sorted(self._hands))
        kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        run = self._run(kind)
        name = chance.choice([f"u{number}.txt", "model.pt"]) if kind == "upload" else ""
        state = chance.choice(["pending", "failed"])
        command: dict[str, Any] = {"kind": kind, "number": number, "run": run, "by": by, "name": name, "state": state}
        answer = self._hands[by].do(command)
        for id_ in answer["taken"]:
            self.asked.append(Asked(id=id_, number=number, kind=kind, run=run, by=by, name=name))
        if answer["refused"]:
            self.refused[kind] += 1
        elif kind == "create":
            self._created.append(run)

    def _run(self, kind: str) -> tuple[str, str, str]:
        chance = self._chance
        if kind == "create":
            return *chance.choice(PROJECTS), f"new{self._number}"
        if kind == "delete" or chance.random() < 0.15:
            return chance.choice(self._created) if self._created else ("team", "alpha", "r1")
        run = chance.choice(self._remote.runs())
        return run.project.entity, run.project.name, run.name
