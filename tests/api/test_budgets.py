"""The server's budgets, scaled to 0…1000 and counted by project and by cost, on a clock that the test moves."""

from __future__ import annotations

import itertools

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.api.limits.charge import Charge, CostClass, charge_of
from mirror.api.limits.host import Limits
from mirror.api.limits.rate_budget import LONGEST_WINDOW_S, RateBudget
from mirror.api.transport.session import CHANGE_PATIENCE_S
from mirror.errors import RateLimited, Unreachable
from tests.api.clock import REFUSED, Clock, Counting, limits_on, project, session_on

pytestmark = pytest.mark.anyio

DEAR = "query Dear { viewer { id } }"
CHEAP = "query Cheap { viewer { id } }"
CHANGE = "mutation Change { stopRun { success } }"
COSTS = {"Dear": 50.0, "Cheap": 0.4, "Change": 1.0}


def counting(clock: Clock, **changes: object) -> Counting:
    return Counting(clock=clock, cost=lambda operation: COSTS[operation], **changes)  # type: ignore[arg-type]


async def test_a_scaled_budget_is_spread_over_its_windows_and_never_overdrawn() -> None:
    clock = Clock()
    server = counting(clock)
    async with session_on(server, limits_on(clock)) as session:
        for _ in range(100):  # five windows' worth
            await session.graphql(DEAR, project("p"))
    assert server.refused == []
    times = [at for at, _, _ in server.taken]
    assert 4 * 60 <= times[-1] <= 7 * 60, "as fast as the budget allows"
    for start in range(60, 240, 15):
        within = [at for at in times if start <= at < start + 15]
        assert 2 <= len(within) <= 9, "neither silence nor a rush"


async def test_a_budget_of_the_old_kind_by_requests_is_spread_alike() -> None:
    clock = Clock()
    server = counting(clock, limit=10.0)
    server.cost = lambda _: 1.0
    async with session_on(server, limits_on(clock)) as session:
        for _ in range(40):
            await session.graphql(CHEAP)
    assert server.refused == []
    assert server.taken[-1][0] < 5 * 60


async def test_a_small_question_is_not_kept_waiting_while_the_budget_is_ample() -> None:
    clock = Clock()
    server = counting(clock)
    async with session_on(server, limits_on(clock)) as session:
        for _ in range(30):
            await session.graphql(CHEAP, project("p"))
        for _ in range(3):
            await session.graphql(DEAR, project("p"))
    assert clock.now_s == 1000.0


async def test_a_dear_document_waits_longer_than_a_cheap_one() -> None:
    clock = Clock()
    server = counting(clock)
    waits: dict[str, list[float]] = {"Dear": [], "Cheap": []}
    async with session_on(server, limits_on(clock)) as session:
        for number in range(120):
            document, name = (DEAR, "Dear") if number % 3 == 0 else (CHEAP, "Cheap")
            begun = clock.now_s
            await session.graphql(document, project("p"))
            waits[name].append(clock.now_s - begun)
    assert server.refused == []
    dear, cheap = (sum(waits[name][-20:]) / 20 for name in ("Dear", "Cheap"))
    assert dear > 10 * cheap


async def test_the_same_operation_of_another_size_has_a_cost_of_its_own() -> None:
    small, large = (charge_of("MirrorRuns", project("p", first=first)) for first in (1, 1000))
    assert small.kind != large.kind
    budget = RateBudget({})
    for remaining, charge in ((900, small), (899, small), (699, large)):
        headers = {"ratelimit-limit": "1000", "ratelimit-remaining": str(remaining), "ratelimit-reset": "60"}
        budget.learn(headers, charge.kind, 0.0)
    assert (budget.cost(small.kind), budget.cost(large.kind)) == (1.0, 200.0)
    assert budget.cost(charge_of("MirrorRuns", project("p", first=100)).kind) == 200.0, "unknown: as the dearest alike"


async def test_costs_are_learnt_again_when_others_spent_meanwhile() -> None:
    budget, kind = RateBudget({}), CostClass("MirrorRuns", 1)
    remaining = 1000.0
    for drop in (1.0, 1.0, 300.0, *[1.0] * 12):
        remaining -= drop
        headers = {"ratelimit-limit": "1000", "ratelimit-remaining": str(remaining), "ratelimit-reset": "60"}
        budget.learn(headers, kind, 0.0)
    assert budget.cost(kind) < 1.5


async def test_a_spent_project_is_in_no_other_projects_way_even_with_one_slot() -> None:
    clock = Clock()
    limits = limits_on(clock, concurrent=1)
    spent = {"ratelimit-limit": "1000", "ratelimit-remaining": "0", "ratelimit-reset": "50"}
    limits.learn(spent, Charge("team/a"))
    limits.refused(Charge("team/c"), began=clock.now_s, asked_s=40.0, longest_s=20.0)
    begun: dict[str, float] = {}

    async def ask(name: str) -> None:
        async with limits.turn(Charge(name)):
            begun[name] = clock.now_s - 1000.0

    async with anyio.create_task_group() as group:
        for name in ("team/a", "team/c", "team/b"):
            group.start_soon(ask, name)
    assert begun["team/b"] == 0.0
    assert begun["team/c"] >= 40.0
    assert begun["team/a"] >= 50.0


async def test_a_pull_and_a_replay_share_the_budget_of_the_user_and_of_each_project() -> None:
    clock = Clock()
    server = counting(clock)
    limits = limits_on(clock)
    async with session_on(server, limits) as pulling, session_on(server, limits) as replaying:
        for _ in range(30):
            await pulling.graphql(DEAR)
            await replaying.graphql(DEAR)
        assert server.refused == []
        assert clock.now_s - 1000.0 > 60
        begun = clock.now_s
        for _ in range(5):
            await replaying.graphql(CHEAP, {"input": {"entityName": "team", "modelName": "p"}})
        assert clock.now_s == begun, "the project has spent nothing"


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, None),
        ({"entity": "team"}, None),
        ({"entity": "team", "project": "p"}, "team/p"),
        ({"input": {"entityName": "team", "modelName": "p", "name": "r"}}, "team/p"),
        ({"input": {"entityName": "team", "projectName": "p"}}, "team/p"),
        ({"input": {"id": "UnVuOjE="}}, None),
        ({"input": 7, "entity": 7, "project": ["p"]}, None),
        ({"entity": "", "project": "p"}, None),
    ],
)
def test_a_request_is_counted_for_the_project_that_it_names(variables: dict[str, object], name: str | None) -> None:
    assert charge_of("MirrorRuns", variables).project == name


async def test_the_ceiling_holds_for_all_budgets_together() -> None:
    clock = Clock()
    server = counting(clock)
    limits = limits_on(clock, requests_per_second=2.0)
    async with (
        session_on(server, limits) as one,
        session_on(server, limits) as other,
        anyio.create_task_group() as group,
    ):
        for number in range(6):
            group.start_soon(one.graphql, CHEAP, project(f"p{number}"))
            group.start_soon(other.graphql, CHEAP)
    times = sorted(at for at, _, _ in server.taken)
    assert len(times) == 12
    assert min(after - before for before, after in itertools.pairwise(times)) >= 0.499


ABSURD = st.one_of(
    st.text(max_size=12), st.sampled_from(["0", "-1", "nan", "inf", "1e308", "1000", "1e-9", "0.4"]), st.none()
)


@given(st.lists(st.tuples(ABSURD, ABSURD, ABSURD), min_size=1, max_size=12))
def test_no_headers_whatever_keep_a_request_for_ever(answers: list[tuple[str | None, str | None, str | None]]) -> None:
    budget, kind, now = RateBudget({}), CostClass("MirrorRuns", 1), 0.0
    names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
    for values in answers:
        waited = 0.0
        while wait_s := budget.wait_s(kind, now + waited):
            assert wait_s > 0
            waited += max(wait_s, 1e-9)
            assert waited <= 2 * LONGEST_WINDOW_S + 1
        now += waited
        cost = budget.begin(kind, now)
        headers = {name: text for name, text in zip(names, values, strict=True) if text is not None}
        budget.learn(headers, kind, now, own=cost)
        budget.end(cost)


@pytest.mark.parametrize("retry_after", [False, True])
async def test_429s_are_waited_out_though_few_attempts_are_allowed(retry_after: bool) -> None:
    clock = Clock()
    server = counting(clock, refuse=9, retry_after=retry_after)
    told: list[tuple[str, float]] = []
    settings = {"retry_attempts": 1}
    async with session_on(server, limits_on(clock), on_retry=lambda *one: told.append(one), **settings) as session:
        await session.graphql(DEAR, project("p"), attempts=2)
        assert session.spent.retries == 9
    refusals = [wait_s for reason, wait_s in told if "429" in reason]
    assert len(refusals) == 9
    assert all("rate limit exceeded" in reason for reason, _ in told)


class Refusing(httpx.AsyncBaseTransport):
    """Answers 429 and nothing else in its headers."""

    def __init__(self, **headers: str) -> None:
        self.status = 429
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}
        self.count = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        return httpx.Response(
            self.status,
            headers=self.headers,
            stream=REFUSED,
        )


@pytest.mark.parametrize("headers", [{}, {"retry_after": "0"}, {"retry_after": "7"}, {"retry_after": "soon"}])
async def test_a_server_that_refuses_for_ever_is_given_up_after_the_patience(headers: dict[str, str]) -> None:
    clock = Clock()
    server = Refusing(**headers)
    waits: list[float] = []
    async with session_on(server, limits_on(clock), on_retry=lambda _, wait_s: waits.append(wait_s)) as session:
        with pytest.raises(RateLimited, match="429"):
            await session.graphql(DEAR, project("p"), attempts=2)
    assert 14 * 60 <= clock.now_s - 1000.0 <= 15 * 60
    assert max(waits) <= 25.0
    assert server.count == len(waits) + 1
    if headers.get("retry_after") == "7":
        assert set(waits) == {7.0}
    elif headers != {"retry_after": "0"}:
        assert waits[:1] < waits[1:2] < waits[2:3] < waits[3:4]
        assert len(set(waits)) > 40, "with jitter"


async def test_a_change_is_not_sent_long_after_it_was_decided() -> None:
    clock = Clock()
    async with session_on(Refusing(), limits_on(clock)) as session:
        with pytest.raises(RateLimited):
            await session.graphql(CHANGE, attempts=1)
    assert clock.now_s - 1000.0 <= CHANGE_PATIENCE_S


async def test_other_failures_still_count_between_429s() -> None:
    clock = Clock()
    server = Refusing()

    class Mixed(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            server.status = 503 if server.count % 2 else 429
            return await server.handle_async_request(request)

    async with session_on(Mixed(), limits_on(clock), retry_wait_max_s=0.001) as session:
        with pytest.raises(Unreachable, match="503"):
            await session.graphql(DEAR, attempts=2)
    assert server.count == 4


async def test_many_requests_refused_together_count_as_one_refusal() -> None:
    clock = Clock()
    limits = limits_on(clock)
    began = clock.now_s
    waits = [limits.refused(Charge("team/p"), began=began, asked_s=None, longest_s=20.0) for _ in range(16)]
    assert max(waits) <= 1.25
    clock.now_s += waits[-1]
    assert 2.0 <= limits.refused(Charge("team/p"), began=clock.now_s, asked_s=None, longest_s=20.0) <= 2.5
    clock.now_s += 3600
    assert limits.refused(Charge("team/p"), began=clock.now_s, asked_s=None, longest_s=20.0) <= 1.25


async def test_a_wait_for_a_limit_can_be_cancelled() -> None:
    limits = Limits(concurrent=1, host="w.example.com")
    charge = Charge("team/p")
    limits.learn({"ratelimit-limit": "9", "ratelimit-remaining": "0", "ratelimit-reset": "200"}, charge)
    limits.refused(Charge("team/q"), began=limits.now(), asked_s=60.0, longest_s=20.0)
    for held in (charge, Charge("team/q")):
        with anyio.move_on_after(0.01) as scope:
            async with limits.turn(held):
                pytest.fail("nothing was left")
        assert scope.cancelled_caught
    async with limits.turn(Charge("team/free")):  # the slot and the queues are free
        pass


async def test_a_long_wait_for_the_budget_is_told() -> None:
    clock = Clock()
    server = counting(clock)
    server.cost = lambda _: 240.0
    told: list[tuple[str, float]] = []
    async with session_on(server, limits_on(clock), on_retry=lambda *one: told.append(one)) as session:
        for _ in range(6):
            await session.graphql(DEAR, project("p"))
        assert session.spent.retries == 0
    assert len(told) >= 2
    for reason, wait_s in told:
        assert "w.example.com says that its rate limit" in reason
        assert 5 < wait_s <= 60
