"""A pull in a process of its own, to be killed: `python -m tests.pull.worker URL KEY HOME PAGE_SIZE`."""

from __future__ import annotations

import sys
from pathlib import Path

from mirror.layout import Home
from tests.mirroring import Mirror


def main() -> None:
    """Say when the imports are done, then pull once."""
    url, key, home, page = sys.argv[1:5]
    mirror = Mirror(url=url, api_key=key, home=Home(Path(home)))
    print("ready", flush=True)
    report = mirror.using(page_size_start=int(page), page_size_max=int(page)).pull()
    print(report.errors or "done", flush=True)


if __name__ == "__main__":
    main()
