"""A sandbox with one large thing in it: `… servers.large history STEPS KEYS`, or `… file BYTES`.

The large file lies on a host of its own, which makes its bytes while it sends them, so that nobody ever holds it whole.
"""

from __future__ import annotations

import io
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT

BLOCK = bytes(range(256)) * 4096  # 1 MiB


class Maker(BaseHTTPRequestHandler):
    """Answers every GET with so many bytes as its path says."""

    def do_GET(self) -> None:
        """Send them block by block."""
        left = int(self.path.strip("/"))
        self.send_response(200)
        self.send_header("Content-Length", str(left))
        self.end_headers()
        while left:
            self.wfile.write(BLOCK[:left])
            left -= min(left, len(BLOCK))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def history(sandbox: Sandbox, steps: int, keys: int) -> None:
    """One finished run, its history in one export."""
    run = sandbox.state.add_run(ENTITY, PROJECT, "large", history=[{"_step": step} for step in range(steps)])
    rng = np.random.default_rng(0)
    columns = {"_step": np.arange(steps), "_timestamp": 1.7e9 + np.arange(steps)}
    columns |= {f"metric/{key:03}": rng.normal(size=steps) for key in range(keys)}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="snappy", write_page_checksum=True)
    (part,) = run.parts
    sandbox.state.bucket.put(part.object_key, sink.getvalue())


def file(sandbox: Sandbox, size: int) -> None:
    """One finished run with one file."""
    maker = ThreadingHTTPServer(("127.0.0.1", 0), Maker)
    threading.Thread(target=maker.serve_forever, daemon=True).start()
    sandbox.state.add_run(ENTITY, PROJECT, "large")
    address = f"http://127.0.0.1:{maker.server_port}/{size}"
    sandbox.state.add_file(ENTITY, PROJECT, "large", "large.bin", b"", md5=None, size=size, reference=address)


def main() -> None:
    """Fill, say where, and wait for the end of stdin."""
    kind, *numbers = sys.argv[1:]
    with Sandbox.start() as sandbox:
        if kind == "history":
            history(sandbox, *map(int, numbers))
        else:
            file(sandbox, *map(int, numbers))
        print(sandbox.url, sandbox.api_key, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
