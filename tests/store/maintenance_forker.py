"""Maintenances to be killed, past their imports: `python -m tests.store.maintenance_forker DEPLOYMENT`.

For each line on standard input, a home, one child maintains it ten days from now; its process id and then its wait
status are printed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mirror.layout import Home
from tests.mirroring import Mirror
from tests.store.maintained import tidy


def main() -> None:
    """Fork, maintain, report, until the input ends."""
    for line in sys.stdin:
        mirror = Mirror(url=f"http://{sys.argv[1]}", api_key="", home=Home(Path(line.rstrip("\n"))))
        child = os.fork()
        if child == 0:
            tidy(mirror, days=10)
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(status, flush=True)


if __name__ == "__main__":
    main()
