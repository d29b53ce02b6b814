"""A key that no row of a history holds is told, with those that may be meant; a key that is there says nothing."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from mirror import Api
from mirror.run.run import Run
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror

ROWS = [{"_step": step, "loss": step / 2, "val/acc": 1, "deep": {"a": {"b": 1}}, "lr.x": 2} for step in range(4)]


def test_unknown_keys_are_told_with_those_that_are_near(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "ended", history=ROWS)
    sandbox.state.add_run(ENTITY, PROJECT, "live", history=ROWS, state="running", exported=2)
    sandbox.state.add_run(ENTITY, PROJECT, "silent", state="running")
    mirror.pull()
    for run_id in ("ended", "live"):
        run: Run = Api(mirror.home).run(f"{SOURCE}/{run_id}")
        told = [
            ("los", f"no row of {SOURCE}/{run_id} holds 'los'; near are 'loss'"),
            ("acc", f"no row of {SOURCE}/{run_id} holds 'acc'; near are 'val/acc'"),
            ("zzzz", f"no row of {SOURCE}/{run_id} holds 'zzzz'"),
        ]
        for key, words in told:
            asked: tuple[tuple[Any, dict[str, Any]], ...] = (
                (run.scan_history, {}),
                (run.history, {"pandas": False}),
                (run.history, {"arrow": True}),
            )
            for ask, options in asked:
                with pytest.warns(UserWarning, match="no row of") as caught:
                    answer: Any = ask(keys=["loss", key], **options)
                assert [str(one.message) for one in caught] == [words]
                assert caught[0].filename == __file__, "it points at who asks"
                assert options == {"arrow": True} or list(answer) == []
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for keys in (["loss"], ["_step", "_timestamp"], ["deep"], ["deep.a"], ["deep.a.b"], ["lr.x"], None):
                list(run.scan_history(keys=keys))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(Api(mirror.home).run(f"{SOURCE}/silent").scan_history(keys=["loss"])) == []
