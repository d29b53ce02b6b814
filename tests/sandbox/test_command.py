"""`python -m mirror.sandbox`, as a person runs it."""

from __future__ import annotations

import signal
import subprocess
import sys

import httpx


def test_the_command_prints_its_address_and_key_and_ends_on_interrupt() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "mirror.sandbox", "--api-key", "k" * 40], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().removeprefix("WANDB_BASE_URL=")
        key = process.stdout.readline().strip().removeprefix("WANDB_API_KEY=")
        answer = httpx.post(f"{url}/graphql", json={"query": "{ viewer { username } }"}, auth=("api", key))
        assert (key, answer.json()) == ("k" * 40, {"data": {"viewer": {"username": "sandy"}}})
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
