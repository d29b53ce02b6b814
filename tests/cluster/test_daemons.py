"""Any number of daemons are started; one pulls and delivers, another takes over when it dies or stands still."""

from __future__ import annotations

import contextlib
import io
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest

import mirror as wandb_mirror
from mirror.daemon import group as group_module
from mirror.daemon.group import GroupMember
from mirror.daemon.logs import Log
from mirror.daemon.schedule.clock import Clock
from mirror.layout import Home
from mirror.outbox.group import GroupOutbox, outbox_of
from mirror.sandbox import Sandbox
from mirror.store.engine.lake import Lake
from mirror.store.engine.writer_lock import WriterLock
from tests.cli.conftest import Cli
from tests.cluster.group import Member
from tests.cluster.servers import KEY_ID, SECRET, Place
from tests.system.service import BRISK, Service, wait_for

SHORT = """
from mirror.cluster import lease
from mirror.daemon import group

lease.BEAT_S, lease.TRUST_S, lease.GRACE_S, lease.STILL_S = 0.2, 1.0, 1.5, 3.0
group.LOOK_S, group.WATCH_S = 0.3, 0.2
"""


class Group:
    """Daemons of one group."""

    def __init__(self, place: Place, sandbox: Sandbox, folder: Path) -> None:
        self.place, self.sandbox, self.folder = place, sandbox, folder
        self.services: dict[str, Service] = {}
        self.brisk = ""  # settings of the daemons
        self.ports: dict[str, tuple[int, int]] = {}  # by daemon: where it finds the database and the bucket

    def start(self, name: str, watch: str = "") -> Service:
        """One more, or the same again; with folders that it watches."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
        cli = Cli(folder=folder, env=keys).at(self.sandbox)
        source = f'[[source]]\npath = "team/proj"\n{watch}'
        server = "[server]\nretry_attempts = 2\nretry_wait_max_s = 0.01\ntimeout_s = 5.0\n"
        more: dict[str, object] = {}
        if name in self.ports:
            catalog = self.place.catalog.replace(f":{self.place.servers.port}/", f":{self.ports[name][0]}/")
            more = {"catalog": catalog, "s3_endpoint": f"http://127.0.0.1:{self.ports[name][1]}"}
        self.place.home(cli.home, f"{server}{self.brisk or BRISK}{source}", **more)
        self.services[name] = Service(cli, {}, before=SHORT)
        return self.services[name]

    def close(self) -> None:
        """End all."""
        for service in self.services.values():
            service.close()

    def member(self, name: str) -> Member:
        """The home of one."""
        return Member(home=Home(self.folder / name / "mirror"), sandbox=self.sandbox)

    def leader(self, *names: str) -> str:
        """The one of some that has the lease, once one has."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [name for name in names if self._leads(name)]
            return bool(found)

        wait_for(f"a leader of {names}", look)
        (name,) = found
        return name

    def _leads(self, name: str) -> bool:
        events = [
            one["event"] for one in self.services[name].all_events() if one["event"] in {"lease_taken", "lease_lost"}
        ]
        return events[-1:] == ["lease_taken"]


def test_a_daemon_that_waits_waits_for_a_command_that_writes_its_home_too(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_module, "LOOK_S", 0.05)
    home = place.home(tmp_path / "home")
    outbox = outbox_of(home)
    assert isinstance(outbox, GroupOutbox)
    writing = WriterLock(home)
    said: list[str] = []

    def told(who: str, _: str) -> None:
        said.append(who)
        if len(said) == 2:  # it has tried again
            writing.__exit__(None, None, None)

    async def run() -> None:
        stopping = anyio.Event()

        async def work(_: Lake) -> None:
            stopping.set()

        member = GroupMember(
            outbox, Log(io.StringIO()), Clock(), lambda: Lake(home, deployment="server"), told, anyio.sleep_forever
        )
        with anyio.fail_after(60):
            await member.run(work, stopping.is_set, stopping)

    writing.__enter__()
    anyio.run(run)
    assert f"writing {home.root}" in said[0]
    assert said[-1] == "this process"


@pytest.fixture
def group(place: Place, sandbox: Sandbox, tmp_path: Path) -> Iterator[Group]:
    found = Group(place, sandbox, tmp_path)
    with contextlib.ExitStack() as closing:
        closing.callback(found.close)
        yield found


def test_of_three_daemons_one_works_and_the_others_take_over_when_it_is_killed_or_stopped(
    group: Group, sandbox: Sandbox
) -> None:
    for number in range(3):
        sandbox.state.add_run("team", "proj", f"r{number}", state="finished")
    names = ("one", "two", "three")
    (group.folder / "runs").mkdir()
    watch = f'[[source.watch]]\nfolder = "{group.folder / "runs"}"\nrun = "r2"\nstable_s = 0.2\n'
    group.start("one").wait_ready()
    first = group.leader("one")
    for name in names[1:]:
        group.start(name, watch).wait_ready()
    group.services[first].wait_event("pull_done")
    assert sum(bool(group.services[name].events("pull_done")) for name in names) == 1
    waiting = [name for name in names if name != first]
    ask = partial(group.services[waiting[0]].cli, "status", "--json")
    wait_for("its first word", lambda: ask().json["daemon"] is not None)
    status = ask(code=0).json
    assert status["daemon"]["state"] == "standby"
    assert str(group.member(first).home.root) in status["daemon"]["lease"]
    assert status["runs"] == 3

    group.member(waiting[0]).note("r0", "queued where nobody delivers")
    wait_for("the note", lambda: sandbox.state.run("team", "proj", "r0").notes == "queued where nobody delivers")
    group.services[waiting[0]].wait_event("handed_over")

    (group.folder / "runs" / "checkpoint.pt").write_bytes(b"of a node")
    wait_for("the file", lambda: "checkpoint.pt" in sandbox.state.run("team", "proj", "r2").files)
    wait_for("what it watches", lambda: bool(ask().json["daemon"]["watches"]))
    assert ask(code=0).json["daemon"]["watches"][0]["path"] == "team/proj/r2"

    group.services[first].process.kill()
    group.services[first].process.wait(30)
    second = group.leader(*waiting)
    group.services[second].wait_event("pull_done")
    third = next(name for name in waiting if name != second)
    group.member(third).note("r1", "after a kill")
    wait_for("the note", lambda: sandbox.state.run("team", "proj", "r1").notes == "after a kill")

    group.services[second].process.send_signal(signal.SIGSTOP)
    try:
        assert group.leader(third) == third
        group.member(third).note("r2", "after a stop")
        wait_for("the note", lambda: sandbox.state.run("team", "proj", "r2").notes == "after a stop")
    finally:
        group.services[second].process.send_signal(signal.SIGCONT)
    group.services[second].wait_event("lease_lost")
    assert group.leader(*waiting) == third
    home = str(group.member(second).home.root)
    wait_for("nothing waits", lambda: not group.member(second).seen())
    assert {run.notes for run in wandb_mirror.Api(home=home).runs("team/proj")} == {
        "queued where nobody delivers", "after a kill", "after a stop",
    }  # fmt: skip
    for name in (second, third):
        assert group.services[name].stop() == 0
        assert "Traceback (most" not in group.services[name].log_text.replace("\\n", "\n")
