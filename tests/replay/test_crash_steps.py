"""A replay that dies at any of its steps, and the next one as well: the one after that ends what they began, once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from mirror.records.operations import Change, Create, Delete, Edit, UpdateState
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT, Mirror
from tests.replay.histories import has_acted
from tests.replaying import Sender
from tests.soaking import thin

pytestmark = pytest.mark.crash


class Killed(BaseException):
    """The process ends here."""


class Dying:
    """From its so many-th rename on, this process changes no file of the outbox any more."""

    def __init__(self, at: int) -> None:
        self.left = at

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While it lasts."""
        real = os.replace

        def replace(source: Any, target: Any, **more: Any) -> None:
            self.left -= 1
            if self.left < 0:
                raise Killed
            real(source, target, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "replace", replace)
            yield


def replay_until(sender: Sender, at: int) -> bool:
    """Whether the replay came to its end before its so many-th rename."""
    dying = Dying(at)
    with suppress(Killed), suppress_group(), dying.at_work():
        sender.replay()
    return dying.left >= 0


@contextmanager
def suppress_group() -> Iterator[None]:
    """As `suppress`, for what comes out of several tasks."""
    try:
        yield
    except* Killed:
        pass


def queue(sandbox: Sandbox, sender: Sender, number: int) -> None:
    """Operations that a second look alone cannot tell from never done, if the run's next one went ahead."""
    sandbox.state.add_run(ENTITY, PROJECT, f"r{number}", state="finished")
    sender.put(f"r{number}", Edit(config={"n": Change(value=1)}))
    sender.put(f"r{number}", UpdateState(state="failed", base="finished"))
    sender.put(f"r{number}", Edit(config={"n": Change(base=1, value=2)}))
    sender.put(f"born{number}", Create(state="running"))
    sender.put(f"born{number}", Delete(delete_artifacts=False))


@pytest.mark.parametrize("stride", thin([1, 3], keep=[3]))
def test_a_replay_may_die_at_any_step_and_so_may_the_next(
    sandbox: Sandbox, mirror: Mirror, sender: Sender, stride: int
) -> None:
    sender.replay()
    for number in range(0, 60, stride):
        queue(sandbox, sender, number)
        sandbox.requests.clear()
        is_whole = replay_until(sender, number)
        replay_until(sender, number % 5)
        sender.later(hours=2).replay()
        assert sender.counts() == {"dead": 1}, f"killed at rename {number}"
        (dead,) = sender.outbox.entries("dead")
        assert dead.entry.run_id == f"r{number}"
        assert "invalid state transition" in (dead.entry.reason or "")
        writes = sum(has_acted(record) for record in sandbox.requests.select("MirrorUpsertRun"))
        assert writes == 3, f"killed at rename {number}"
        assert sandbox.requests.count("MirrorDeleteRun") == 1
        assert f"born{number}" not in sandbox.state.project(ENTITY, PROJECT).runs
        ends = [one["outcome"] for one in sender.receipts() if one["run_id"] in {f"r{number}", f"born{number}"}]
        assert len([end for end in ends if end != "buried"]) == 4, f"killed at rename {number}: {ends}"
        sender.outbox.drop(dead.entry)
        if is_whole:
            break
    else:
        raise AssertionError("there is no end of renames")
    assert number > 10


def test_each_trial_of_what_the_server_refuses_has_one_receipt_whoever_dies(
    sandbox: Sandbox, mirror: Mirror, sender: Sender
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r", state="finished")
    entry = sender.put("r", UpdateState(state="failed", base="finished"))
    assert sender.replay().buried == 1
    for trial in range(2, 20):
        sender.outbox.retry(sender.outbox.get(entry.id).entry)
        is_whole = replay_until(sender, trial - 2)
        sender.later(hours=2).replay()
        sender.later(hours=2).replay()
        assert sender.counts() == {"dead": 1}
        assert len(sender.receipts()) == trial, f"killed at rename {trial - 2}"
        if is_whole:
            break
    else:
        raise AssertionError("there is no end of renames")
