"""Processes to be killed, past their imports: `python -m tests.outbox.forker HOME ACKNOWLEDGED`.

For each number on standard input, several processes use the outbox at once: two queue operations, one with two threads,
and a third claims and puts back. After a random moment all are killed. What a queueing process was told is done, it
appends to the file ACKNOWLEDGED before it goes on; what it was about to do, it appends before it begins.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mirror.layout import Home
from mirror.outbox import Outbox
from tests.outbox.operations import RUNS, edit, upload

LONGEST_S = 0.03
KILLS_A_ROUND = 3


def main() -> None:
    """Fork, kill, report, until the input ends."""
    home, log = Home(Path(sys.argv[1])), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for line in sys.stdin:
        chance = random.Random(int(line))
        children = [
            _forked(lambda name=name, threads=threads: _queue(home, log, name, threads))  # type: ignore[misc]
            for name, threads in ((f"{line.strip()}a", 1), (f"{line.strip()}b", 2))
        ]
        children.append(_forked(lambda chance=chance: _replay(home, chance)))  # type: ignore[misc]
        time.sleep(chance.uniform(0, LONGEST_S))
        chance.shuffle(children)
        for child in children:
            os.kill(child, signal.SIGKILL)
        killed = sum(os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL for child in children)
        print(killed, flush=True)


def _forked(act: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(1)
    return child


def _queue(home: Home, log: int, name: str, threads: int) -> None:
    outbox = Outbox(home)
    workers = [threading.Thread(target=_queue_on, args=(outbox, log, f"{name}{index}")) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _queue_on(outbox: Outbox, log: int, name: str) -> None:
    chance = random.Random(name)
    for number in range(1 << 30):
        mark = f"{name}.{number:06d}"
        operation = upload(mark) if chance.random() < 0.1 else edit(mark)
        os.write(log, f"begun {mark}\n".encode())
        outbox.put(chance.choice(RUNS), "s", operation)
        os.write(log, f"done {mark}\n".encode())


def _replay(home: Home, chance: random.Random) -> None:
    outbox = Outbox(home)
    with outbox.replaying():
        while True:
            for placed in outbox.entries("new"):
                claimed = outbox.claim(placed.entry)
                if claimed is not None and chance.random() < 0.5:
                    chance.choice([outbox.put_back, outbox.bury, outbox.hold])(claimed, "on purpose")


if __name__ == "__main__":
    main()
