"""What others do at W&B: runs begin, log, are edited, get files, end. Nobody takes away what another wrote."""

from __future__ import annotations

import json
import random
from typing import Any

from mirror.sandbox import Sandbox
from mirror.sandbox.state.records import ENDED_STATES, RunRecord

PROJECTS = (("team", "alpha"), ("team", "beta"), ("lab", "cron"), ("lab", "p0"))
MOST_ALIVE = 8  # running runs


class RemoteLife:
    """Acts on the sandbox's truth.

    Args:
        sandbox: the server.
        chance: decides.
    """

    def __init__(self, sandbox: Sandbox, chance: random.Random) -> None:
        self._state = sandbox.state
        self._chance = chance
        self._number = 0
        self.acts = 0
        self.deleted: set[tuple[str, str, str]] = set()
        for (entity, project), count in zip(PROJECTS, (20, 10, 6, 4), strict=True):
            for _ in range(count):
                self._begin(entity, project, state=chance.choice(["finished", "finished", "crashed", "running"]))

    def runs(self, *, alive: bool = False) -> list[RunRecord]:
        """All runs; `alive`: those that have not ended."""
        with self._state.lock:
            owners = [owner for _, owner in sorted(self._state.projects.items())]
            found = [run for owner in owners for _, run in sorted(owner.runs.items())]
        return [run for run in found if run.state not in ENDED_STATES] if alive else found

    def act(self) -> None:
        """One thing happens."""
        self.acts += 1
        weights = {
            self._log: 40, self._edit: 20, self._put_file: 12, self._finish: 8, self._new: 8, self._delete: 2,
            self._new_project: 0.3,
        }  # fmt: skip
        self._chance.choices(list(weights), list(weights.values()))[0]()

    def _some(self, *, alive: bool = False) -> RunRecord | None:
        runs = self.runs(alive=alive)
        return self._chance.choice(runs) if runs else None

    def _begin(self, entity: str, project: str, *, state: str = "running") -> None:
        self._number += 1
        rows = [self._row(step) for step in range(self._chance.randrange(30))]
        self._state.add_run(
            entity, project, f"r{self._number}", state=state, config={"lr": 0.1, "n": self._number}, tags=["base"],
            history=rows, files={"model.pt": f"weights {self._number}".encode()}, console=["begun"],
        )  # fmt: skip

    def _row(self, step: int) -> dict[str, Any]:
        return {"_step": step, "loss": self._chance.random(), "_timestamp": 1.7e9 + step}

    def _new(self) -> None:
        if len(self.runs(alive=True)) < MOST_ALIVE:
            self._begin(*self._chance.choice(PROJECTS))

    def _new_project(self) -> None:
        self._begin("lab", f"p{self._chance.randrange(1, 5)}", state="finished")

    def _log(self) -> None:
        with self._state.lock:
            run = self._some(alive=True)
            if run is None:
                return
            first = run.history[-1]["_step"] + 1 if run.history else 0
            rows = [self._row(first + step) for step in range(self._chance.randrange(1, 20))]
            entity, project = run.project.entity, run.project.name
            self._state.log_console(entity, project, run.name, [f"step {first}"])
            run.events.append({"_runtime": len(run.events), "system.cpu": self._chance.random()})
            self._state.log_rows(entity, project, run.name, rows)

    def _edit(self) -> None:
        with self._state.lock:
            run = self._some()
            if run is None:
                return
            self._number += 1
            mark = f"theirs{self._number}"
            change: dict[str, Any] = {}
            what = self._chance.choice(["tags", "notes", "config", "shared", "name"])
            if what == "tags":
                change["tags"] = [*run.tags, mark]
            elif what == "notes":
                change["notes"] = mark
            elif what == "name":
                change["display_name"] = mark
            else:
                key, value = ("lr", self._chance.random()) if what == "shared" else (mark, self._number)
                change["config"] = {**plain_config(run), key: value}
            heard = self._chance.random() < 0.5
            self._state.edit_run(run.project.entity, run.project.name, run.name, touch_heartbeat=heard, **change)

    def _put_file(self) -> None:
        with self._state.lock:
            run = self._some(alive=True)
            if run is None:
                return
            self._number += 1
            name = self._chance.choice(["model.pt", "out/log.txt", f"f{self._number}.bin"])
            where = run.project.entity, run.project.name, run.name
            self._state.add_file(*where, name, self._chance.randbytes(self._chance.randrange(1, 20_000)))
            self._state.edit_run(*where, touch_heartbeat=True)

    def _finish(self) -> None:
        with self._state.lock:
            run = self._some(alive=True)
            if run is not None and run.state == "running":
                state = self._chance.choice(["finished", "finished", "crashed", "failed"])
                self._state.finish_run(run.project.entity, run.project.name, run.name, state=state)

    def _delete(self) -> None:
        with self._state.lock:
            run = self._some()
            if run is not None and len(run.project.runs) > 3:
                where = run.project.entity, run.project.name, run.name
                self._state.delete_run(*where)
                self.deleted.add(where)


def plain_config(run: RunRecord) -> dict[str, Any]:
    """A run's config without W&B's envelope."""
    return {key: item["value"] for key, item in json.loads(run.config_text or "{}").items()}
