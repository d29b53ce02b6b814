"""Runs that were trained without a server, beside `wandb sync`: a long log taken in, and many delivered."""

from __future__ import annotations

import itertools
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from mirror.layout import Home
from mirror.offline.intake import CHARACTERS_AT_ONCE, ROWS_AT_ONCE
from mirror.offline.log.framing import RECORDS_TOGETHER, Frame, read_frames
from mirror.offline.log.messages import Record
from mirror.offline.log.run_log import RunLog
from mirror.sandbox import Fault, Sandbox
from tests.bench.figures import Figure, at_least, at_most, figure
from tests.bench.measuring import COMMAND_LINE, Context, cpus, in_turn, run, walls
from tests.mirroring import SOURCE
from tests.offline.logs import STARTED, exit_record, offline_log, row_record, run_record, write_log

KEYS = 10


def bench(context: Context) -> Iterator[Figure]:
    """One run of many steps: whole processes."""
    steps = context.of(300, 100_000)
    folder = context.folder / "trained"
    log = write_log(offline_log(folder, "long"), trained_run("long", steps))
    numbers = itertools.count()

    def add() -> None:
        home = new_home(context.folder / f"home{next(numbers)}", sandbox.url)
        run([sys.executable, "-c", COMMAND_LINE, "--home", home.root, "add", log])

    def read() -> None:
        run_log = RunLog()
        with log.open("rb") as file:
            frames = (frame.content for frame in read_frames(file, is_whole=True) if isinstance(frame, Frame))
            while contents := list(itertools.islice(frames, RECORDS_TOGETHER)):
                run_log.take_many(contents)
                if run_log.waits(ROWS_AT_ONCE, CHARACTERS_AT_ONCE):
                    run_log.drain()
        assert run_log.rows == steps

    def sync() -> None:  # each time as if nobody had done it
        copy = context.folder / f"copy{next(numbers)}" / log.parent.name
        shutil.copytree(log.parent, copy)
        command = [sys.executable, "-m", "wandb", "sync", "--id", f"run{next(numbers)}", copy]
        run(command, env)

    with Sandbox.start() as sandbox:
        env = environment(context, sandbox)
        reading, adding, theirs = in_turn(context.of(1, 3), read, add, sync)
    work = f"an offline log of {steps:,} steps × {KEYS} keys ({log.stat().st_size / 1e6:.0f} MB)"
    beside = "`wandb sync` to the sandbox"
    yield figure(f"{work}, read into memory", beside, walls(reading), walls(theirs), goal=at_least(10))
    yield figure(f"{work}, taken in by a whole process", beside, walls(adding), walls(theirs), goal=at_least(10))
    yield figure(f"{work}, CPU of that", f"{beside}, CPU", cpus(adding), cpus(theirs), goal=at_least(10))
    yield from delivered(context, context.folder / "many")


def delivered(context: Context, folder: Path) -> Iterator[Figure]:
    """Many runs, from their folders to the server: whole processes."""
    runs, steps = context.of((2, 20), (100, 1_000))
    numbers = itertools.count()

    def made() -> Path:
        """A folder of runs that nobody has seen."""
        number = next(numbers)
        for run_number in range(runs):
            run_id = f"r{number}x{run_number:03}"
            write_log(offline_log(folder / f"{number}", run_id), long_run(run_id, steps))
        return folder / f"{number}"

    def deliver() -> None:
        home = new_home(folder / f"home{next(numbers)}", sandbox.url)
        for command in (("add", next(ready)), ("replay",)):
            run([sys.executable, "-c", COMMAND_LINE, "--home", home.root, *command], env)

    def sync() -> None:
        run([sys.executable, "-m", "wandb", "sync", *sorted(next(ready).iterdir())], env)

    rounds = context.of(1, 3)
    for distance_s in context.of((0.0,), (0.0, 0.1)):
        ready = iter([made() for _ in range(2 * rounds)])
        with Sandbox.start() as sandbox:
            env = environment(context, sandbox)
            if distance_s:
                sandbox.faults.add(Fault.latency(distance_s))
            ours, theirs = in_turn(rounds, deliver, sync)
        work = f"{runs} offline runs of {steps:,} steps added and delivered to a server {distance_s * 1000:.0f} ms away"
        yield figure(work, "`wandb sync` of them", walls(ours), walls(theirs), goal=at_most(0.5))


def environment(context: Context, sandbox: Sandbox) -> dict[str, str]:
    """For the real SDK, and for the mirror."""
    return {
        "WANDB_BASE_URL": sandbox.url, "WANDB_API_KEY": sandbox.api_key, "HOME": str(context.folder),
        "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "WANDB_DIR": str(context.folder),
    }  # fmt: skip


def long_run(run_id: str, steps: int) -> Iterator[bytes]:
    """The records of a run with some numbers in each row."""
    yield run_record(run_id)
    for step in range(steps):
        yield row_record(step, {f"metric/{key}": (step * key) % 97 / 7 for key in range(KEYS)}, started=STARTED)
    yield exit_record()


def trained_run(run_id: str, steps: int) -> Iterator[bytes]:
    """The same as W&B's SDK writes it: keys in another order in each row, and two records of a summary for each."""
    order = random.Random(1)
    yield run_record(run_id)
    for step in range(steps):
        told = {f"metric/{key}": (step * key) % 97 / 7 for key in range(KEYS)}
        told |= {"_step": step, "_timestamp": STARTED + step / 3, "_runtime": step / 3}
        runtime = Record(num=3 * step + 1)
        runtime.summary.update.add(nested_key=["_wandb", "runtime"], value_json=str(step // 3))
        runtime.summary.update.add(key="_runtime", value_json=str(step // 3))
        summary, row = Record(num=3 * step + 2), Record(num=3 * step + 3)
        row.history.step.num = step
        for items in (summary.summary.update, row.history.item):
            for key in order.sample(list(told), len(told)):
                items.add(nested_key=[key], value_json=repr(told[key]))
        yield from (bytes(record.SerializeToString()) for record in (runtime, summary, row))
    yield exit_record()


def new_home(folder: Path, url: str) -> Home:
    """A home without a lake."""
    folder.mkdir(parents=True)
    home = Home(folder)
    home.config.write_text(f'[server]\nbase_url = "{url}"\n[[source]]\npath = "{SOURCE}"\n', encoding="utf-8")
    return home
