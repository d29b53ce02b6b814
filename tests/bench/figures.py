"""A figure: one ratio with what it is made of, and how figures become a table or JSON."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Goal:
    """A bound of a ratio: ours over theirs at most, or theirs over ours at least."""

    bound: float
    is_least: bool = False

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {self.bound:g}"


def at_most(bound: float) -> Goal:
    """Ours costs at most so many times theirs."""
    return Goal(bound)


def at_least(bound: float) -> Goal:
    """Theirs costs at least so many times ours."""
    return Goal(bound, is_least=True)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What we need for some work beside what something else needs for it."""

    work: str
    beside: str
    unit: str
    ours: float  # median
    theirs: float  # median
    ratio: float  # median over the rounds; as the goal has it, else ours over theirs
    goal: Goal | None
    note: str  # what may have been the bottleneck
    load: float  # of the machine, over the last minute

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        return self.ratio >= self.goal.bound if self.goal.is_least else self.ratio <= self.goal.bound


def figure(
    work: str,
    beside: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    goal: Goal | None = None,
    unit: str = "s",
    note: str = "",
) -> Figure:
    """A figure of the values of each round, in the same order on both sides."""
    is_least = goal is not None and goal.is_least
    ratios = [other / own if is_least else own / other for own, other in zip(ours, theirs, strict=True)]
    return Figure(
        work=work, beside=beside, unit=unit, ours=statistics.median(ours), theirs=statistics.median(theirs),
        ratio=statistics.median(ratios), goal=goal, note=note, load=os.getloadavg()[0],
    )  # fmt: skip


def as_json(figures: Iterable[Figure]) -> str:
    """A JSON array; the goal as `<= 1.5`, and whether it is met."""
    rows = [
        {**asdict(item), "goal": None if item.goal is None else str(item.goal), "met": item.is_met} for item in figures
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


HEAD = "| work | beside | ratio | goal | met | ours | theirs | load | note |\n|---|---|---|---|---|---|---|---|---|\n"


def as_row(item: Figure) -> str:
    """A row of the Markdown table below `HEAD`."""
    met = {None: "", True: "yes", False: "**no**"}[item.is_met]
    values = [f"{value:.3g} {item.unit}" for value in (item.ours, item.theirs)]
    cells = [item.work, item.beside, f"{item.ratio:.2f}", str(item.goal or ""), met, *values, f"{item.load:.1f}"]
    return f"| {' | '.join([*cells, item.note])} |\n"
