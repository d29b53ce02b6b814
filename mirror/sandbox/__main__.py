"""`python -m mirror.sandbox --port N`: serve in the foreground, for people."""

from __future__ import annotations

import argparse
import contextlib
import sys

from mirror.sandbox.server import Sandbox


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m mirror.sandbox", description="A W&B-compatible server on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--api-key", default=None, help="key of the default user (default: a new one)")
    options = parser.parse_args()
    with Sandbox.start(port=options.port, api_key=options.api_key) as sandbox:
        sys.stdout.write(f"WANDB_BASE_URL={sandbox.url}\nWANDB_API_KEY={sandbox.api_key}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            sandbox.wait()


if __name__ == "__main__":
    main()
