"""However commits, failures and cancellations interleave, a pass ends: what it handed over is committed, in its order,
or an error says why not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirror.api.client import Client
from mirror.api.transport.credentials import ApiKey
from mirror.api.transport.deployment import deployment_of
from mirror.config import ServerSettings
from mirror.errors import MirrorError, ServerError, StoreError
from mirror.layout import Home
from mirror.pull.committer import Batch, Committer
from mirror.pull.contents.fetch_job import Outcome
from mirror.pull.context import PullContext
from mirror.pull.report import ProjectReport, SilentPull
from mirror.records.addresses import ProjectKey
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from tests.mirroring import ENGINE, PULL
from tests.store.test_contents import AT
from tests.store.test_generations import run

pytestmark = pytest.mark.model

P = ParamSpec("P")
T = TypeVar("T")

MOST_S = 20.0  # a hang, on any machine
PROJECTS = map("p{}".format, itertools.count())


@dataclass(frozen=True, kw_only=True)
class SlowShop(PullContext):
    """On a disk that takes its time, and fails at one of the commits."""

    delays: Iterator[int]  # turns of the event loop before each commit
    fails_at: int | None
    count: Iterator[int]

    async def written(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Wait, then commit or fail."""
        await turns(next(self.delays))
        if next(self.count) == self.fails_at:
            raise StoreError("no space left")
        return await super().written(function, *args, **kwargs)


@dataclass(frozen=True)
class Play:
    """One pass: what its body does, and what happens to it."""

    steps: list[str]  # "batch", "commit", "turn", "aside" (a batch of a task beside the body)
    ending: str  # "well", "refused"
    delays: list[int]
    fails_at: int | None
    cancelled_after: int | None  # turns of the event loop


PLAYS = st.builds(
    Play,
    st.lists(st.sampled_from(["batch", "batch", "commit", "turn", "aside"]), max_size=8),
    st.sampled_from(["well", "refused"]),
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
    st.none() | st.integers(0, 5),
    st.none() | st.integers(0, 40),
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake for all plays, each in a project of its own."""
    with Lake(Home(tmp_path_factory.mktemp("committer") / "home"), deployment="d", settings=ENGINE) as lake:
        yield lake


async def turns(count: int) -> None:
    """Let all other tasks go on."""
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


class Pass:
    """A pass that hands over batches of one run each."""

    def __init__(self, lake: Lake, play: Play) -> None:
        self.lake, self.play = lake, play
        self.key = ProjectKey("e", next(PROJECTS))
        self.begun: list[str] = []  # run ids, in the order in which they were handed over
        self.kept: list[str] = []  # of those, the ones of which the committer said that it has them
        self.error: MirrorError | None = None
        self.cancelled = False

    async def play_it(self) -> None:
        """Raises TimeoutError where it does not end."""
        play = self.play
        client = Client(deployment_of("http://127.0.0.1:9"), ApiKey("0" * 40, "a test"), ServerSettings())
        context = SlowShop(
            client=client, lake=self.lake, objects=Objects(self.lake.home), settings=PULL, watcher=SilentPull(),
            now=lambda: AT, delays=itertools.cycle(play.delays), fails_at=play.fails_at, count=itertools.count(),
        )  # fmt: skip
        with anyio.fail_after(MOST_S), anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                if play.cancelled_after is not None:
                    group.start_soon(self._cancel, scope, play.cancelled_after)
                try:
                    await self._body(context)
                except MirrorError as error:
                    self.error = error
                group.cancel_scope.cancel()
        self.cancelled = scope.cancelled_caught

    async def _cancel(self, scope: anyio.CancelScope, after: int) -> None:
        await turns(after)
        scope.cancel()

    async def _body(self, context: PullContext) -> None:
        committer = Committer(context, ProjectReport(key=self.key), AT)
        async with committer.at_work():
            try:
                async with anyio.create_task_group() as beside:
                    for step in self.play.steps:
                        if step == "batch":
                            await self._hand_over(committer)
                        elif step == "aside":
                            beside.start_soon(self._hand_over, committer)
                        elif step == "commit":
                            await committer.commit()
                            assert set(self.kept) <= set(self.held())
                        else:
                            await turns(1)
                    if self.play.ending == "refused":
                        raise ServerError("page 3 is broken")  # and cancels those beside it
            except BaseExceptionGroup as raised:
                ours = raised.subgroup(MirrorError)
                if ours is None or raised.split(MirrorError)[1] is not None:
                    raise
                raise ServerError("page 3 is broken") from None

    async def _hand_over(self, committer: Committer) -> None:
        run_id = f"r{len(self.begun)}"
        self.begun.append(run_id)
        await committer.hand_over(
            Batch(
                run_ids=[run_id],
                changed=[run(project=self.key.project, run_id=run_id, storage_id=run_id)],
                new=frozenset({run_id}),
                recovered=[],
                outcome=Outcome(),
                project=None,
                source=None,
                expected=None,
            )
        )
        self.kept.append(run_id)

    def held(self) -> list[str]:
        """Run ids in the lake, in the order in which they came."""
        with self.lake.reading() as engine:
            rows = engine.execute(
                "SELECT run_id FROM lake.runs WHERE project = ? ORDER BY rowid", [self.key.project]
            ).fetchall()
        return [name for (name,) in rows]


@settings(suppress_health_check=list(HealthCheck))
@given(play=PLAYS)
def test_every_pass_ends_and_what_was_handed_over_is_committed_in_its_order(lake: Lake, play: Play) -> None:
    shown = Pass(lake, play)
    anyio.run(shown.play_it)
    held = shown.held()
    assert set(held) <= set(shown.begun)
    if isinstance(shown.error, StoreError):
        assert held == [name for name in shown.begun if name in held]
        return
    if not shown.cancelled:
        assert set(shown.kept) <= set(held)  # also where the listing broke in the middle
        assert (shown.error is None) == (play.ending == "well")
    if "aside" not in play.steps:
        assert held == shown.begun[: len(held)]
