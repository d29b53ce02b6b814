"""The worker looks when something is noticed, and a folder that does not answer holds nobody up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from mirror.api.transport.deployment import deployment_of
from mirror.config import Config, DaemonSettings, SourceSettings
from mirror.daemon.connection import Connection
from mirror.daemon.context import DaemonContext
from mirror.daemon.logs import Log
from mirror.daemon.schedule.clock import Clock
from mirror.daemon.schedule.scheduler import Scheduler
from mirror.daemon.watch_folder import worker as watch_folder
from mirror.daemon.watch_folder.worker import WatchWorker
from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.store.engine.lake import Lake
from mirror.store.objects.objects import Objects
from mirror.watch_settings import WatchSettings
from tests.mirroring import ENGINE

pytestmark = pytest.mark.anyio


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def lake(home: Home) -> Iterator[Lake]:
    with Lake(home, deployment=deployment_of("http://127.0.0.1:1").id, settings=ENGINE) as lake:
        yield lake


def worker(lake: Lake, data: Path, hurried: list[str], *, rescan_s: float, stable_s: float = 0.05) -> WatchWorker:
    watch = WatchSettings(folder=os.fspath(data), run="r1", stable_s=stable_s)
    settings = DaemonSettings(rescan_s=rescan_s)
    config = Config(daemon=settings, source=(SourceSettings(path="team/proj", watch=(watch,)),))
    context = DaemonContext(
        lake=lake,
        objects=Objects(lake.home),
        config=config,
        log=Log(),
        connection=Connection(),
        clock=Clock(),
        scheduler=Scheduler(Clock()),
        random=lambda: 0.5,
    )
    return WatchWorker(context, Outbox(lake.home), hurried.append)


@pytest.mark.parametrize("rescan_s", [1000.0, 0.2])
async def test_files_are_found_by_notifications_and_without_them(
    lake: Lake, data: Path, rescan_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried: list[str] = []
    if rescan_s < 1:
        monkeypatch.setattr("watchfiles.main.RustNotify", no_inotify)
    at_work = worker(lake, data, hurried, rescan_s=rescan_s)
    async with anyio.create_task_group() as group:
        group.start_soon(at_work.run)
        await anyio.sleep(0.5)
        (data / "late").mkdir()
        await anyio.sleep(0.5)
        (data / "late" / "a").write_text("a")
        with anyio.fail_after(20):
            while not hurried:  # a file waits for a run that is not mirrored
                await anyio.sleep(0.05)
        group.cancel_scope.cancel()
    assert hurried == ["team/proj"], "once"
    assert at_work.statuses[0].left_out == 1


def no_inotify(*arguments: object) -> None:
    raise OSError("inotify watch limit reached")


async def test_a_file_system_that_does_not_answer_holds_up_no_stop(
    lake: Lake, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_folder, "END_WITHIN_S", 0.2)
    hangs, answers = threading.Event(), threading.Event()

    def scandir(path: str) -> os.PathLike[str]:
        hangs.set()
        answers.wait(60)
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "scandir", scandir)
    at_work = worker(lake, data, [], rescan_s=1000.0)
    async with anyio.create_task_group() as group:
        group.start_soon(at_work.run)
        with anyio.fail_after(20):
            while not hangs.is_set():
                await anyio.sleep(0.01)
        began = time.monotonic()
        group.cancel_scope.cancel()
    assert time.monotonic() - began < 10
    answers.set()
