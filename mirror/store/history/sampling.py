"""Which rows of many stand for all of them: a pure choice, the same one every time."""

from __future__ import annotations


def evenly(count: int, samples: int) -> list[int]:
    """Positions spread evenly over `count` rows, in order, the first and the last row among them.

    Args:
        count: rows that there are.
        samples: rows that are wanted.

    Returns:
        `min(count, samples)` distinct positions. One sample is the first row; fewer than one is none.
    """
    if samples >= count:
        return list(range(count))
    if samples <= 1:
        return [0] * max(0, samples)
    gaps = samples - 1
    return [round(place * (count - 1) / gaps) for place in range(samples)]  # more than 1 apart, so none comes twice
