"""A small project in which runs have something of everything, and values that every reader spells alike."""

from __future__ import annotations

from typing import Any

from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.sandbox.state.records import ConsoleLine
from tests.mirroring import ENTITY, Mirror
from tests.truth import differences

EVERYTHING = {"artifacts_include": ("*",)}


def history(start: int, stop: int) -> list[dict[str, Any]]:
    """Rows of some steps; a key that not every row has, a text, an integer no double holds."""
    return [
        {"_step": n, "loss": 1 / (n + 1), "big": 2**53 + n, "text": f"t{n}"} | ({"rare": n} if n % 3 == 0 else {})
        for n in range(start, stop)
    ]


def fill(sandbox: Sandbox, project: str, runs: int = 4) -> None:
    """Runs: every third one is running with a tail, every other one logged an artifact with twin files."""
    for number in range(runs):
        run_id, running = f"r{number:03}", number % 3 == 2
        sandbox.state.add_run(
            ENTITY,
            project,
            run_id,
            state="running" if running else "finished",
            created_at=f"2024-01-01T00:{number // 60:02}:{number % 60:02}",
            config={"n": number},
            history=history(0, 20),
            exported=12 if running else None,
            parts=2,
            events=[{"_timestamp": 1.7e9 + n, "system.cpu": n + 0.5} for n in range(5)],
            console=[ConsoleLine(line=f"line {n} é", level="error" if n == 2 else "") for n in range(4)],
            files={
                "config.yaml": f"n: {number}\n".encode(),
                "same.bin": b"same" * 500,
                "big.bin": bytes([number]) * 60_000,
            },
        )
        if number % 2 == 0:
            files = {"a.txt": b"twin", "b/twin.txt": b"twin", "own.bin": bytes([number]) * 2000}
            sandbox.state.add_artifact(ENTITY, project, f"set{number}", files=files, run=run_id)


def mirror_of(sandbox: Sandbox, home: Home, project: str, *, entity: str = ENTITY, **policy: Any) -> Mirror:
    """A mirror that wants everything, unless a policy says otherwise."""
    return Mirror(
        url=sandbox.url,
        api_key=sandbox.api_key,
        home=home,
        sources=(f"{entity}/{project}",),
        policy=EVERYTHING | policy,
    )


def assert_equal(sandbox: Sandbox, mirror: Mirror, project: str) -> None:
    """The lake holds what the server has, each row once."""
    found = differences(sandbox, mirror, project=project)
    assert not found, "\n".join(found[:10])


def failures(mirror: Mirror) -> dict[tuple[str, str], dict[str, Any]]:
    """What is recorded as failed, by run id and item."""
    return {(row["run_id"], row["item"]): row for row in mirror.ask("SELECT * FROM lake.failures")}
