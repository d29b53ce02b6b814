"""The backend as a process: `python -m tests.upstream.backend [--refusals FILE]`.

It prints one line of JSON with both ports when it listens, and ends when its standard input does: so it can not outlive
the process that started it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path

from mirror.sandbox import Sandbox

from .app_server import AppServer
from .fixture_service import fixture_app
from .gateway_front import GatewayFront


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.upstream.backend", description=__doc__)
    parser.add_argument("--refusals", type=Path, help="write every refused request here, one line of JSON each")
    parser.add_argument("--gateway", action="store_true", help="answer what only reads by a gateway over a mirror")
    options = parser.parse_args()
    with contextlib.ExitStack() as opened:
        sandbox = opened.enter_context(Sandbox.start())
        fixtures = opened.enter_context(AppServer(fixture_app(sandbox.state)))
        port = sandbox.port
        if options.gateway:
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="wandb-mirror-upstream-homes-"))
            front = opened.enter_context(GatewayFront(sandbox, Path(folder)))
            port = opened.enter_context(AppServer(front.asgi)).port
        print(json.dumps({"base_port": port, "fixture_port": fixtures.port}), flush=True)
        sys.stdin.read()
        if options.refusals is not None:
            refused = [record for record in sandbox.requests if record.status >= 400]
            lines = [json.dumps({"status": r.status, "path": r.path, "query": r.query}) for r in refused]
            options.refusals.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
