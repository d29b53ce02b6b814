"""Two pulls in a process of their own, with figures as JSON: `python -m tests.bench.puller URL KEY HOME`."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from mirror.layout import Home
from tests.mirroring import Mirror


def peak_mb() -> float:
    """The largest resident set of this process so far, MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    """The first pull, then one that finds nothing new."""
    mirror = Mirror(
        url=sys.argv[1], api_key=sys.argv[2], home=Home(Path(sys.argv[3])), policy={"file_size_max_mb": 4096.0}
    )
    started = time.monotonic()
    first = mirror.pull()
    seconds, peak = time.monotonic() - started, peak_mb()
    second = mirror.pull()
    figures = {
        "errors": [str(error) for error in first.errors + second.errors],
        "written": sum(project.written for project in first.projects),
        "requests": first.requests,
        "bytes": first.bytes_down,
        "requests_again": second.requests,
        "written_again": sum(project.written for project in second.projects),
        "seconds": seconds,
        "peak_mb": peak,
        "peak_again_mb": peak_mb(),
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
