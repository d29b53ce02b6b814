"""The backend as a process: `python -m tests.upstream.backend [--refusals FILE]`.

It prints one line of JSON with both ports when it listens, and ends when its standard input does: so it can not outlive
the process that started it.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from pathlib import Path

import uvicorn

from mirror.sandbox import Sandbox

from .fixture_service import fixture_app


class FixtureServer:
    """The fixture service on a free port of loopback, in a thread."""

    def __init__(self, sandbox: Sandbox) -> None:
        config = uvicorn.Config(
            fixture_app(sandbox.state), host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off"
        )
        self._socket = config.bind_socket()
        self._server = uvicorn.Server(config)
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> FixtureServer:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.upstream.backend", description=__doc__)
    parser.add_argument("--refusals", type=Path, help="write every refused request here, one line of JSON each")
    options = parser.parse_args()
    with Sandbox.start() as sandbox, FixtureServer(sandbox) as fixtures:
        print(json.dumps({"base_port": sandbox.port, "fixture_port": fixtures.port}), flush=True)
        sys.stdin.read()
        if options.refusals is not None:
            refused = [record for record in sandbox.requests if record.status >= 400]
            lines = [json.dumps({"status": r.status, "path": r.path, "query": r.query}) for r in refused]
            options.refusals.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
