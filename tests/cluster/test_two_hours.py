"""Two hours of a group in minutes: three daemons that are killed, stopped and cut off at random, twenty readers, five
people who queue, a server that changes. At the end the lake is what the server has, and everything happened once.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mirror as wandb_mirror
from mirror.sandbox import Sandbox
from mirror.sandbox.storage import md5_base64
from mirror.store.engine.reader import Reader
from tests.cluster.cable import Cable
from tests.cluster.group import Member
from tests.cluster.servers import Place
from tests.cluster.test_daemons import Group
from tests.system.service import wait_for

NAMES = ("one", "two", "three")
AUTHORS = 5
READERS = 20
LENGTH_S = float(os.environ.get("TWO_HOURS_S", "240"))  # the daemons pull every 2 s in place of every 10 minutes
QUIET_S = 120.0


class Life:
    """Everything that happens at once; what fails in a thread fails the test."""

    def __init__(self, place: Place, sandbox: Sandbox, group: Group, folder: Path, seed: int) -> None:
        self.place, self.sandbox, self.group, self.folder, self.seed = place, sandbox, group, folder, seed
        self.over = threading.Event()
        self.errors: list[str] = []
        self.tags: dict[str, str] = {}  # to the run
        self.files: dict[tuple[str, str], bytes] = {}  # by run and name
        self.notes: dict[str, str] = {}  # the last of each author, by run
        self.counts: Counter[str] = Counter()
        self._turn = threading.Lock()

    def thread(self, name: str, work: Callable[[random.Random], None]) -> threading.Thread:
        """Repeat something until it is over."""

        def loop() -> None:
            chance = random.Random(f"{self.seed} {name}")
            while not self.over.is_set() and not self.errors:
                try:
                    work(chance)
                except Exception as error:
                    self.errors.append(f"{name}: {error!r}\n{traceback.format_exc()}")
                with self._turn:
                    self.counts[name.split()[0]] += 1

        thread = threading.Thread(target=loop, name=name, daemon=True)
        thread.start()
        return thread

    def server(self, chance: random.Random) -> None:
        """Somebody trains."""
        state = self.sandbox.state
        run_id = f"w{self.counts['server']}"
        state.add_run("team", "proj", run_id, state="finished", config={"n": chance.random()})
        state.log_rows("team", "proj", run_id, [{"loss": chance.random()} for _ in range(20)])
        self.over.wait(chance.uniform(0.5, 2.0))

    def author(self, number: int) -> Callable[[random.Random], None]:
        """Somebody edits and uploads, on a machine of their own."""
        home = self.place.home(self.folder / f"author{number}")
        api = wandb_mirror.Api(home=str(home.root))
        own = f"team/proj/a{number}"
        made = Counter[str]()

        def work(chance: random.Random) -> None:
            made["all"] += 1
            text = f"author {number} says {made['all']}"
            kind = chance.choice(("tag", "notes", "file"))
            if kind == "tag":
                run = api.run(f"team/proj/a{chance.randrange(AUTHORS)}")
                run.tags = [*run.tags, text]
                run.update()
                self.tags[text] = run.id
            elif kind == "notes":
                run = api.run(own)
                run.notes = text
                run.update()
                self.notes[run.id] = text
            else:
                run = api.run(f"team/proj/a{chance.randrange(AUTHORS)}")
                name = f"from-{number}-{made['all']}.bin"
                path = self.folder / name
                content = chance.randbytes(chance.randrange(1, 50_000))
                path.write_bytes(content)
                run.upload_file(str(path), root=str(self.folder))
                self.files[run.id, name] = content
            self.over.wait(chance.uniform(0.2, 2.0))

        return work

    def reader(self, number: int) -> Callable[[random.Random], None]:
        """Somebody reads; what was there once stays, and one snapshot agrees with itself."""
        home = self.place.home(self.folder / f"reader{number % 4}")
        api = wandb_mirror.Api(home=str(home.root))
        lake = Reader(home)
        most = 0

        def work(chance: random.Random) -> None:
            nonlocal most
            with lake.snapshot() as snapshot:
                ((runs,),) = snapshot.rows("SELECT count(*) FROM lake.runs")
                ((doubled,),) = snapshot.rows(
                    "SELECT count(*) FROM"
                    " (SELECT 1 FROM lake.runs GROUP BY entity, project, run_id HAVING count(*) > 1)"
                )
                ((again,),) = snapshot.rows("SELECT count(*) FROM lake.runs")
            assert (doubled, again) == (0, runs)
            assert runs >= most
            most = runs
            if number % 5 == 0:
                run = api.run(f"team/proj/a{chance.randrange(AUTHORS)}")
                assert run.state == "finished"
                for file in list(run.files())[:2]:
                    if (content := self.files.get((run.id, file.name))) is not None:
                        with (
                            contextlib.suppress(wandb_mirror.NotMirrored),  # its bytes are not here yet
                            file.download(str(self.folder / f"down{number}"), replace=True) as opened,
                        ):
                            assert Path(opened.name).read_bytes() == content
            self.over.wait(chance.uniform(0.05, 0.5))

        return work

    def trouble(self, cables: dict[str, tuple[Cable, ...]]) -> Callable[[random.Random], None]:
        """Something happens to one of the daemons."""

        def work(chance: random.Random) -> None:
            name = chance.choice(NAMES)
            service = self.group.services[name]
            kind = chance.choice(("kill", "stop", "pull_out", "hold", "end"))
            with self._turn:
                self.counts[f"trouble {kind}"] += 1
            if kind == "kill":
                service.process.kill()
                service.process.wait(30)
                service.close()
            elif kind == "stop":
                service.process.send_signal(signal.SIGSTOP)
                self.over.wait(chance.uniform(0.5, 6.0))
                service.process.send_signal(signal.SIGCONT)
            elif kind == "end":
                service.stop()
                service.close()
            else:
                for cable in chance.sample(cables[name], chance.randint(1, 2)):
                    getattr(cable, kind)()
                self.over.wait(chance.uniform(0.5, 6.0))
                for cable in cables[name]:
                    cable.restore()
            if service.process.poll() is not None:
                self.over.wait(chance.uniform(0.1, 3.0))
                self.group.start(name)
            self.over.wait(chance.uniform(1.0, 4.0))

        return work


@pytest.mark.soak
@pytest.mark.crash
@pytest.mark.parametrize("seed", [1, 2])
def test_two_hours_of_a_group_in_minutes(place: Place, sandbox: Sandbox, tmp_path: Path, seed: int) -> None:
    for number in range(AUTHORS):
        sandbox.state.add_run("team", "proj", f"a{number}", state="finished")
    with contextlib.ExitStack() as closing:
        cables = {
            name: tuple(closing.enter_context(Cable(port)) for port in (place.servers.port, place.servers.s3_port))
            for name in NAMES
        }
        group = Group(place, sandbox, tmp_path)
        closing.callback(group.close)
        group.brisk = "[pull]\noverlap_minutes = 1.0\n[daemon]\npoll_minutes = 0.03\npoll_quiet_minutes = 0.05\n"
        group.ports = {name: (some[0].port, some[1].port) for name, some in cables.items()}
        for name in NAMES:
            group.start(name)
        wait_for("the first pull", lambda: any(group.services[name].events("pull_done") for name in NAMES))
        life = Life(place, sandbox, group, tmp_path, seed)
        threads = [
            life.thread("server", life.server),
            life.thread("trouble", life.trouble(cables)),
            *(life.thread(f"author {number}", life.author(number)) for number in range(AUTHORS)),
            *(life.thread(f"reader {number}", life.reader(number)) for number in range(READERS)),
        ]
        until = time.monotonic() + LENGTH_S
        while time.monotonic() < until and not life.errors:
            time.sleep(0.5)
        life.over.set()
        for thread in threads:
            thread.join(60)
        assert not life.errors, life.errors[0]
        for some in cables.values():
            for cable in some:
                cable.restore()
        print(dict(life.counts), len(life.tags), len(life.files))
        until = time.monotonic() + QUIET_S
        while left := waiting(life):
            assert time.monotonic() < until, f"{left[:5]} of {len(left)} wait\n{told(group)}"
            time.sleep(0.5)
        compare(place, sandbox, life, tmp_path)


def told(group: Group) -> str:
    """The last lines of each daemon."""
    return "\n".join("\n".join(group.services[name].log_text.splitlines()[-8:]) for name in NAMES)


def waiting(life: Life) -> list[Any]:
    """What is not delivered, as the authors' machines show it."""
    return [
        (one.state, one.entry.run_id, one.entry.kind, one.entry.reason, one.entry.attempts)
        for number in range(AUTHORS)
        for member in [Member(home=life.place.home(life.folder / f"author{number}"), sandbox=life.sandbox)]
        if member.share() is not None
        for one in member.outbox.entries()
    ]


def compare(place: Place, sandbox: Sandbox, life: Life, folder: Path) -> None:
    """The server has all that was asked, once; the lake has all that the server has."""
    for tag, run_id in life.tags.items():
        assert list(sandbox.state.run("team", "proj", run_id).tags).count(tag) == 1
    for run_id, text in life.notes.items():
        assert sandbox.state.run("team", "proj", run_id).notes == text
    for (run_id, name), content in life.files.items():
        assert sandbox.state.run("team", "proj", run_id).files[name].md5 == md5_base64(content)
    home = place.home(folder / "judge")
    with Reader(home) as lake:
        rows = lake.rows("SELECT id, count(*) FROM lake.receipts GROUP BY 1 HAVING count(*) > 1")
        assert rows == []
        endings = lake.rows("SELECT outcome, count(*) FROM lake.receipts GROUP BY 1")
        assert {outcome for outcome, _ in endings} <= {"applied", "already_so"}
        print(endings)

        def equal() -> bool:
            held = {
                run_id: (notes or "", sorted(tags or []))
                for run_id, notes, tags in lake.rows("SELECT run_id, notes, tags FROM lake.runs")
            }
            there = {
                run.name: (run.notes or "", sorted(run.tags))
                for run in sandbox.state.project("team", "proj").runs.values()
            }
            return held == there

        wait_for("the lake is what the server has", equal, QUIET_S)
    sent = Counter(
        str(record.variables["input"]["notes"])
        for record in sandbox.requests.select(operation="MirrorUpsertRun")
        if record.variables["input"].get("notes")
    )
    assert all(count == 1 for count in sent.values()), sent.most_common(3)
