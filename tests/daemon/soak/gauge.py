"""Memory and open files of a process, from the outside, over its life and over lives."""

from __future__ import annotations

import contextlib
import statistics
from dataclasses import dataclass
from pathlib import Path

SAMPLES_MIN = 40  # a life with fewer says nothing


@dataclass(frozen=True)
class Sample:
    """One look."""

    life: int
    rss_mb: float
    fds: int


class Gauge:
    """Remembers what it measured."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def look(self, life: int, pid: int) -> None:
        """Measure a process; one that has just ended is left out."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, StopIteration):
            status = Path(f"/proc/{pid}/status").read_text()
            line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
            fds = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
            self.samples.append(Sample(life, int(line.split()[1]) / 1024, fds))

    def long_lives(self) -> list[list[Sample]]:
        """The samples of each life that has enough of them."""
        lives: dict[int, list[Sample]] = {}
        for sample in self.samples:
            lives.setdefault(sample.life, []).append(sample)
        return [samples for samples in lives.values() if len(samples) >= SAMPLES_MIN]


def grown_mb(samples: list[Sample]) -> float:
    """By how much a life's memory grew from its second quarter, when it has settled, to its last: of the medians."""
    quarter = len(samples) // 4
    settled, last = samples[quarter : 2 * quarter], samples[-quarter:]
    return statistics.median(one.rss_mb for one in last) - statistics.median(one.rss_mb for one in settled)


def grown_fds(samples: list[Sample]) -> int:
    """By how much the most open files of a life's second half exceed those of its first; connections come and go."""
    half = len(samples) // 2
    return max(one.fds for one in samples[half:]) - max(one.fds for one in samples[:half])
