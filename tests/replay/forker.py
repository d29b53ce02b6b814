"""Processes to be killed, past their imports: `python -m tests.replay.forker HOME URL KEY LOG`.

For each number on standard input two processes queue operations and one replays, each killed after a random moment.
What a queueing process was told is done, it appends to LOG before it goes on; what it is about to do, before it begins.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mirror.layout import Home
from mirror.records.operations import Change, Edit
from tests.replaying import Sender

RUNS = 3
OPERATIONS = 8  # that a process queues before it waits to be killed
QUEUEING_S = 0.02  # about what that takes
REPLAYING_S = 1.0
KILLS_A_ROUND = 3


def main() -> None:
    """Fork, kill, report, until the input ends."""
    home, url, key, path = sys.argv[1:]
    sender = Sender(url=url, api_key=key, home=Home(Path(home)))
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for line in sys.stdin:
        number = int(line)
        chance = random.Random(number)
        replaying = forked(lambda: _replay(sender))
        queueing = [forked(lambda name=name: _queue(sender, log, name)) for name in (f"{number}a", f"{number}b")]  # type: ignore[misc]
        children = []
        for child in queueing:
            time.sleep(chance.uniform(0, QUEUEING_S))
            children.append(killed(child))
        time.sleep(chance.uniform(0, REPLAYING_S))
        children.append(killed(replaying))
        print(sum(children), flush=True)


def forked(act: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            act()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(1)
    return child


def killed(child: int) -> bool:
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _queue(sender: Sender, log: int, name: str) -> None:
    """Count one key of a run up, and upload files between."""
    chance = random.Random(name)
    run_id = f"r{chance.randrange(RUNS)}"
    for number in range(1, OPERATIONS + 1):
        os.write(log, f"begun {run_id} {name} {number} -\n".encode())
        before = Change(value=number) if number == 1 else Change(base=number - 1, value=number)
        entry = sender.put(run_id, Edit(config={name: before}))
        if chance.random() < 0.3:
            sender.put(run_id, sender.upload(f"{name}.{number}", name.encode()))
        entry_id = entry.folded[-1] if entry.folded else entry.id
        os.write(log, f"done {run_id} {name} {number} {entry_id}\n".encode())
    signal.pause()


def _replay(sender: Sender) -> None:
    while True:
        sender.replay()


if __name__ == "__main__":
    main()
