"""A server with hostile runs, what the SDK reads from it, and a gateway over its mirror when the server is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.contract.both import Outcome, outcome
from tests.contract.conftest import ENTITY
from tests.contract.conftest import server as server
from tests.contract.hostile import add_hostile_run
from tests.gateway.artifact_calls import SWEEP
from tests.gateway.calls import API_CALLS, PATH, PROJECT, RUN_CALLS, Call
from tests.gateway.served import Served, served
from tests.mirroring import Mirror

SEEDS = (*range(12), 14)  # each shape of a history twice, and a run with latest system metrics and no row of them
RUNS = len(SEEDS)

Recorded = dict[tuple[str, str], Outcome]


@pytest.fixture(scope="session")
def hostile(server: Sandbox) -> Iterator[Sandbox]:
    """A server of its own, which ends before the gateway is asked."""
    del server
    with Sandbox.start() as sandbox:
        _add_sweeps(sandbox)
        for number in SEEDS:
            sandbox.clock.advance(1)  # no two runs of one time: how ties are broken is the server's own affair
            run = add_hostile_run(sandbox, ENTITY, PROJECT, f"run {number:03} é", seed=number)
            if number % 7 == 0:
                run.sweep_name = SWEEP
            if run.history and run.history[-1]["_step"] > 10**6:
                del run.history[-1], run.parts[:]  # the SDK would ask for each thousand steps of the gap
                run.exported.clear()
        yield sandbox


def _add_sweeps(sandbox: Sandbox) -> None:
    sandbox.state.add_sweep(
        ENTITY, PROJECT, SWEEP, display_name="a search",
        config_text="method: bayes\nmetric: {name: loss, goal: minimize}\nparameters: {lr: {values: [1, 2]}}\n",
    )  # fmt: skip
    sandbox.state.add_sweep(ENTITY, PROJECT, "sweep2", config_text="method: grid\nname: named\nparameters: {}\n")


@pytest.fixture(scope="session")
def mirrored(hostile: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """A mirror of all that the server has."""
    place = Mirror(
        url=hostile.url,
        api_key=hostile.api_key,
        home=Home(tmp_path_factory.mktemp("gateway") / "home"),
        sources=(PATH,),
        policy={"artifacts_include": ("*",)},
    )
    assert place.pull().errors == []
    return place


@pytest.fixture(scope="session")
def recorded(hostile: Sandbox, mirrored: Mirror) -> Recorded:
    """What every call came to at the server; it is gone afterwards."""
    answers = answers_of(sdk(hostile.url, hostile.api_key))
    hostile.stop()
    return answers


@pytest.fixture(scope="session")
def gateway(mirrored: Mirror, recorded: Recorded) -> Iterator[Served]:
    """The gateway over the mirror, with the server gone."""
    with served(mirrored.home) as found:
        yield found


@pytest.fixture(scope="session")
def ours(gateway: Served) -> Any:
    """The SDK's own API object, asking the gateway."""
    return sdk(gateway.url, gateway.key)


@pytest.fixture(scope="session")
def answered(ours: Any) -> Recorded:
    """What every call comes to at the gateway."""
    return answers_of(ours)


def sdk(url: str, key: str) -> Any:
    """The SDK's API object for a server."""
    import wandb

    return wandb.Api(overrides={"entity": ENTITY, "base_url": url}, api_key=key, timeout=30)


def answers_of(api: Any) -> Recorded:
    """All calls, by their name and the run's id; several runs at once, and the calls of one run one after the other,
    for the SDK's cache of exports takes no two readers of a run.
    """
    runs = list(api.runs(PATH, lazy=False, per_page=RUNS))
    targets = [(RUN_CALLS, run.id, run) for run in runs]
    targets += [({name: call}, "", api) for name, call in API_CALLS.items()]

    def ask(target: tuple[Mapping[str, Call], str, Any]) -> list[tuple[tuple[str, str], Outcome]]:
        calls, run_id, given = target
        return [((name, run_id), outcome(call, given)) for name, call in calls.items()]

    with ThreadPoolExecutor(8) as pool:
        return dict(answer for answers in pool.map(ask, targets) for answer in answers)
