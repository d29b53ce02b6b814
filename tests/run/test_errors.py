"""An `except` that was written for the SDK catches the mirror's errors of the same names."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
import wandb
from wandb.apis.public.runs import RunNotFoundError as TheirRunNotFoundError

from mirror import Api, CommError, MirrorError, NotMirrored, RunNotFoundError
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT, SOURCE, Mirror


def test_a_script_that_catches_the_sdks_errors_needs_no_change(sandbox: Sandbox, mirror: Mirror) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r0")
    mirror.pull()
    api = Api(mirror.home)
    for theirs in (wandb.errors.CommError, wandb.Error, TheirRunNotFoundError, ValueError):
        with pytest.raises(theirs, match="Could not find run"):
            api.run(f"{SOURCE}/nothing")
    with pytest.raises(wandb.errors.CommError) as caught:
        api.run(f"{SOURCE}/nothing")
    assert isinstance(caught.value, RunNotFoundError)
    assert isinstance(caught.value, NotMirrored)
    assert isinstance(caught.value, MirrorError)
    assert f"`wandb-mirror pull {SOURCE}/nothing` fetches it" in str(caught.value), "a log shows no more than the text"


def test_an_error_keeps_its_name_and_travels() -> None:
    error = RunNotFoundError("Could not find run", hint="pull it")
    assert type(error).__name__ == "RunNotFoundError"
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, RunNotFoundError)
    assert (str(again), again.hint) == (str(error), "pull it")


def test_without_wandb_the_errors_are_the_mirrors_alone() -> None:
    script = (
        "import sys; from mirror import CommError; e = CommError('x'); assert type(e) is CommError;"
        " assert 'wandb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert issubclass(NotMirrored, CommError)


@pytest.mark.parametrize(
    ("filters", "order", "named"),
    [
        ({"state": {"$near": 1}}, "+created_at", r"\$near"),
        ({"nothing": 1}, "+created_at", "nothing"),
        ({}, "+no", "no"),
    ],
)
def test_a_filter_or_an_order_that_wandb_does_not_know_is_named(
    filters: dict[str, object], order: str, named: str, sandbox: Sandbox, mirror: Mirror
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r0")
    mirror.pull()
    with pytest.raises(wandb.errors.CommError, match=named):
        len(Api(mirror.home).runs(SOURCE, filters=filters, order=order))
