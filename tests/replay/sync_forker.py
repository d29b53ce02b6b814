"""Processes that add and deliver runs, to be killed: `python -m tests.replay.sync_forker HOME URL KEY FOLDER`.

For each number on standard input a run in FOLDER grows, one process takes it in and delivers, and is killed after a
random moment.
"""

from __future__ import annotations

import random
import sys
import time
from functools import partial
from pathlib import Path

from mirror.layout import Home
from tests.replay.forker import forked, killed
from tests.replay.trainings import Training, add
from tests.replaying import Sender

WORKING_S = 1.5
GROWS = 3  # rows a round


def main() -> None:
    """Grow, fork, kill, report, until the input ends; then the run ends, too."""
    home, url, key, folder = sys.argv[1:]
    sender = Sender(url=url, api_key=key, home=Home(Path(home)))
    training = Training(Path(folder))
    training.save("a.txt", b"a")
    training.log_artifact("model", {"weights.bin": b"0123"})
    hours = 0
    for line in sys.stdin:
        training.log(GROWS)
        training.print(f"round {line}")
        training.alert(f"round {line.strip()}")
        training.measure()
        hours += 2  # so that nothing waits for its next attempt
        child = forked(partial(work, sender.later(hours=hours), Path(folder)))
        time.sleep(random.Random(int(line)).uniform(0, WORKING_S))
        print(int(killed(child)), flush=True)
    training.finish()


def work(sender: Sender, folder: Path) -> None:
    """Take in what is there, and deliver it, again and again."""
    while True:
        add(sender, folder)
        sender.replay()


if __name__ == "__main__":
    main()
