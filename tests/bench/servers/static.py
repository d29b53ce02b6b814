"""The files of a folder, whole or a range of them: `python -m tests.bench.servers.static FOLDER`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.bench.servers.bare import Answer, Asked, serve_until_told, start


def main() -> None:
    """Serve until told."""
    root = Path(sys.argv[1])

    def respond(asked: Asked) -> Answer:
        content = (root / asked.path.partition("?")[0].lstrip("/")).read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", ""))
        if wanted is None:
            return Answer(content, headers="Accept-Ranges: bytes\r\n")
        first, last = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
        place = f"Content-Range: bytes {first}-{last}/{len(content)}\r\n"
        return Answer(content[first : last + 1], "206 Partial Content", f"Accept-Ranges: bytes\r\n{place}")

    serve_until_told(start(respond))


if __name__ == "__main__":
    main()
