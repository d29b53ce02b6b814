"""Work to be killed, past its imports: `python -m tests.forker JSON`, as `forking` starts it.

For each line on standard input, a job and a limit of files' sizes, one child does it once; its process id and then its
wait status are printed.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from pathlib import Path

from mirror.errors import MirrorError
from mirror.layout import Home
from tests.check.test_repair import mend
from tests.mirroring import Mirror
from tests.store.maintained import tidy


def main() -> None:
    """Fork, work, report, until the input ends."""
    asked = json.loads(sys.argv[1])
    mirror = Mirror(
        url=asked["url"],
        api_key=asked["api_key"],
        home=Home(Path(asked["home"])),
        sources=(asked["source"],),
        policy=asked["policy"],
        is_fresh=True,
    ).using(**asked["settings"])
    if asked["source"].startswith("/"):
        importlib.import_module("mirror.cli.commands.add")  # so that children need not
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            job, limit = line.split()
            if int(limit):
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
            os._exit(JOBS[job](mirror))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(status, flush=True)


def pull(mirror: Mirror) -> int:
    """0: everything was taken; 9: something was left; else the exit code of the error."""
    try:
        report = mirror.pull()
    except MirrorError as error:
        print(f"{type(error).__name__}: {error.message}", file=sys.stderr, flush=True)
        return error.exit_code
    for why in report.errors:
        print(f"{type(why).__name__}: {why.message}", file=sys.stderr, flush=True)
    return report.errors[0].exit_code if report.errors else 9 if report.failures else 0


def maintenance(mirror: Mirror) -> int:
    """0: done. Nothing is too young to be removed."""
    tidy(mirror, days=30)
    return 0


def repair(mirror: Mirror) -> int:
    """0: nothing is left that it cannot repair."""
    return 9 if mend(mirror).left else 0


def add(mirror: Mirror) -> int:
    """`wandb-mirror add` of the folder that stands for the source, with a commit each few rows."""
    from mirror.cli import main as main_program
    from mirror.offline import intake

    intake.ROWS_AT_ONCE = 100
    sys.argv = ["wandb-mirror", "--home", str(mirror.home.root), "add", mirror.sources[0]]
    with open(os.devnull, "r+", encoding="utf-8") as nothing:  # noqa: PTH123 -- as streams are opened
        sys.stdin = sys.stdout = nothing  # the others are for requests and answers
        try:
            main_program()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


JOBS = {"pull": pull, "maintain": maintenance, "repair": repair, "add": add}


if __name__ == "__main__":
    main()
