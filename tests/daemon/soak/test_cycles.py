"""Two hundred cycles of the real daemon: memory by kind, Python's and the libraries' below it, stays where it settled.

`-m soak -n 0 -s` prints the figures.
"""

from __future__ import annotations

import json
import signal
import statistics
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mirror.sandbox import Sandbox
from tests.cli import conftest as cli_fixtures
from tests.system.service import Service, serving, wait_for

CYCLES = 200
RUNS = 40
ALIVE = 4  # of them, which log on
LOOK_EVERY = 10  # cycles between two looks at the process
PACE = "poll_minutes = 0.002\npoll_active_minutes = 0.002\npoll_quiet_minutes = 0.002\nmaintain_every_hours = 0.005\n"
GROWTH_MB = 12.0  # of everything, from the third quarter's median to the last one's
GROWTH_BLOCKS = 6_000  # of Python's memory, half a megabyte or so


@dataclass(frozen=True)
class Look:
    """The daemon's memory at one moment."""

    cycle: int
    resident_mb: dict[str, float]  # heap (malloc's main arena), anonymous (other arenas), file, stack
    heap: dict[str, Any]  # what `measured_daemon` tells

    def __str__(self) -> str:
        """One line of a table."""
        kinds = "  ".join(f"{kind} {size:6.1f}" for kind, size in sorted(self.resident_mb.items()))
        used_mb, free_mb = (self.heap["malloc"][name] / 1e6 for name in ("used", "free"))
        return (
            f"cycle {self.cycle:3d}: {sum(self.resident_mb.values()):6.1f} MB = {kinds};  malloc {used_mb:.1f} MB"
            f" and {free_mb:.1f} free, Python {self.heap['blocks']:,} blocks, Arrow {self.heap['arrow_bytes']:,} B"
        )


def resident_mb(pid: int) -> dict[str, float]:
    """Resident memory of a process by kind, MB."""
    kinds: Counter[str] = Counter()
    kind = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:
            path = words[5] if len(words) > 5 else ""
            kind = {"": "anonymous", "[heap]": "heap"}.get(path, "stack" if path.startswith("[") else "file")
        elif words[0] == "Rss:":
            kinds[kind] += int(words[1])
    return {kind: size / 1024 for kind, size in kinds.items()}


def look(service: Service, figures: Path, cycle: int) -> Look:
    """Measure the daemon, from outside and by what it tells."""
    figures.unlink(missing_ok=True)
    service.process.send_signal(signal.SIGUSR1)
    wait_for("figures of the heap", figures.exists)
    return Look(cycle, resident_mb(service.process.pid), json.loads(figures.read_text()))


def change(sandbox: Sandbox, cycle: int) -> None:
    """What happens upstream between two pulls: an active run logs, another is edited, now and then one is new."""
    name, rows = f"r{cycle % ALIVE}", [{"_step": cycle * 5 + n, "loss": 1 / (cycle + n + 1)} for n in range(5)]
    sandbox.state.log_rows("team", "proj", name, rows)
    sandbox.state.log_console("team", "proj", name, [f"cycle {cycle}"])
    sandbox.state.add_file("team", "proj", name, "model.pt", bytes([cycle % 256]) * 20_000)
    edited = f"r{ALIVE + cycle % (RUNS - ALIVE)}"
    sandbox.state.edit_run("team", "proj", edited, config={"lr": cycle}, touch_heartbeat=True)
    if cycle % 10 == 0:
        sandbox.state.add_run("team", "proj", f"new{cycle}", history=[{"_step": n, "x": n} for n in range(50)])


@pytest.mark.soak
def test_two_hundred_cycles_of_a_daemon_leave_its_memory_where_it_settled(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = tmp_path / "figures.json"
    measured = (sys.executable, "-m", "tests.daemon.soak.measured_daemon", str(figures))
    monkeypatch.setattr(cli_fixtures, "COMMAND", measured)
    for number in range(RUNS):
        state = "running" if number < ALIVE else "finished"
        sandbox.state.add_run("team", "proj", f"r{number}", state=state, config={"lr": 0.1}, files={"a": b"a" * 5000})
    root = str(Path(__file__).parents[3])
    with serving(tmp_path, sandbox, more=PACE, PYTHONPATH=root) as service:
        monkeypatch.undo()
        looks: list[Look] = []
        for cycle in range(1, CYCLES + 1):
            change(sandbox, cycle)
            done = len(service.events("pull_done"))
            service.wait_event("pull_done", done + 1)
            if cycle % LOOK_EVERY == 0:
                looks.append(look(service, figures, cycle))
                print(looks[-1], flush=True)
        maintained = len(service.events("maintenance_done"))
        assert service.stop() == 0
    print(f"maintenance ran {maintained} times")
    assert maintained > 2
    assert grown([sum(one.resident_mb.values()) for one in looks]) < GROWTH_MB
    assert grown([one.heap["blocks"] for one in looks]) < GROWTH_BLOCKS
    assert grown([one.heap["malloc"]["used"] / 1e6 for one in looks]) < GROWTH_MB
    assert grown([one.heap["arrow_bytes"] for one in looks]) <= 0


def grown(figures: list[float]) -> float:
    """By how much the median of the last quarter exceeds that of the third."""
    quarter = len(figures) // 4
    return statistics.median(figures[-quarter:]) - statistics.median(figures[-2 * quarter : -quarter])
