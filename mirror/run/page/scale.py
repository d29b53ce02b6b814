"""Scales: from values to places on a chart, and the numbers that stand beside them."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from decimal import Decimal

import msgspec

LABEL_DIGITS = 12  # significant digits that a tick may have; more would only repeat each other
UNITS = (("T", 12), ("B", 9), ("M", 6), ("k", 3))
MINUS = "\N{MINUS SIGN}"
TINIEST = Decimal("1e-300")  # a step below this is no double of full precision


class Tick(msgspec.Struct, frozen=True):
    """A number beside a scale."""

    share: float  # of the way from the low end to the high one
    label: str


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a chart covers along one side."""

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def share(self, value: float) -> float:
        """How far a value lies from the low end to the high one, 0 to 1."""
        span = self.high / 2 - self.low / 2  # halved: the span of two doubles may be none
        if span <= 0:
            return 0.5
        return min(1.0, max(0.0, (value / 2 - self.low / 2) / span))


def value_scale(low: float, high: float) -> Scale:
    """A scale that reaches from a round number at or below `low` to one at or above `high`, and wastes little.

    Args:
        low: the lowest value, finite.
        high: the highest.
    """
    scales = [_round_scale(low, high, intervals) for intervals in (4, 5, 3)]
    fitting = [scale for scale in scales if scale is not None and len(scale.ticks) > 1]
    if not fitting:
        return _bare_scale(low, high)
    return min(fitting, key=lambda scale: (scale.high / 2 - scale.low / 2, abs(len(scale.ticks) - 5)))


def step_scale(low: int, high: int, *, intervals: int = 4) -> Scale:
    """A scale of steps: it begins and ends where they do, and its ticks are whole numbers.

    Args:
        low: the first step.
        high: the last one.
        intervals: about so many between the ticks.
    """
    step = _step(float(low), float(high), intervals)
    if step is not None:
        step = max(step, Decimal(1))
        first, last = math.ceil(Decimal(low) / step), math.floor(Decimal(high) / step)
        scale = _scale(float(low), float(high), [n * step for n in range(first, last + 1)], step)
        if scale is not None and len(scale.ticks) > 1:
            return scale
    return _bare_scale(float(low), float(high))


def number(value: float) -> str:
    """A number for people, in five digits where it is not whole: `12,345`, `0.0123`, `1.5e-7`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{MINUS if value < 0 else ''}\N{INFINITY}"
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e15 and size == int(size):
        text = f"{int(size):,}"
    elif 1e-4 <= size < 1e15:
        digits = max(0, 4 - math.floor(math.log10(size)))
        text = f"{size:,.{digits}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        mantissa, _, exponent = f"{Decimal(size):.4e}".partition("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{_signed(int(exponent))}"
    return f"{MINUS}{text}" if value < 0 else text


def _round_scale(low: float, high: float, intervals: int) -> Scale | None:
    step = _step(low, high, intervals)
    if step is None:
        return None
    first, last = math.floor(_written(low) / step), math.ceil(_written(high) / step)
    return _scale(_double(first * step), _double(last * step), [n * step for n in range(first, last + 1)], step)


def _bare_scale(low: float, high: float) -> Scale:
    """A scale whose ticks are its ends, with as many digits as tell them apart."""
    if low == high:
        return Scale(low=low, high=high, ticks=(Tick(0.5, number(low)),))
    labels = number(low), number(high)
    if labels[0] == labels[1]:
        labels = _exact(low), _exact(high)
    return Scale(low=low, high=high, ticks=(Tick(0.0, labels[0]), Tick(1.0, labels[1])))


def _exact(value: float) -> str:
    return repr(value).replace("e+", "e").replace("-", MINUS)


def _step(low: float, high: float, intervals: int) -> Decimal | None:
    """The round number, 1, 2 or 5 times a power of ten, that divides a span into about so many intervals."""
    rough = Decimal(high) / intervals - Decimal(low) / intervals
    if rough < TINIEST:
        return None
    power = Decimal(1).scaleb(rough.adjusted())
    return next((n * power for n in (Decimal(1), Decimal(2), Decimal(5)) if n * power >= rough), 10 * power)


def _scale(low: float, high: float, values: Sequence[Decimal], step: Decimal) -> Scale | None:
    """A scale with these ticks; None where doubles are too coarse for them, or their labels would be too long."""
    largest = max(abs(_written(low)), abs(_written(high)))
    if largest.adjusted() - step.adjusted() >= LABEL_DIGITS or not low < high:
        return None
    bare = Scale(low=low, high=high, ticks=())
    labels = [_label(value, largest, step) for value in values]
    return msgspec.structs.replace(
        bare,
        ticks=tuple(
            Tick(bare.share(float(value)), label)
            for value, label in zip(values, labels, strict=True)
            if low <= _double(value) <= high and abs(value) <= Decimal(sys.float_info.max)
        ),
    )


def _label(value: Decimal, largest: Decimal, step: Decimal) -> str:
    """A tick, written as all of its scale: the same unit, the same number of digits after the point."""
    if value == 0:
        return "0"
    size, finest = largest.adjusted(), step.adjusted()
    if size >= 15 or size < -4:
        text = f"{abs(value).scaleb(-size):.{max(0, size - finest)}f}e{_signed(size)}"
    else:
        unit, power = next(
            ((unit, power) for unit, power in UNITS if size >= max(power, 4) and finest >= power - 2), ("", 0)
        )
        text = f"{abs(value).scaleb(-power):,.{max(0, power - finest)}f}{unit}"
    return f"{MINUS}{text}" if value < 0 else text


def _written(value: float) -> Decimal:
    """A double as people write it: 3e-6, and not the digits that lie a little above."""
    return Decimal(repr(float(value)))


def _signed(exponent: int) -> str:
    return f"{MINUS if exponent < 0 else ''}{abs(exponent)}"


def _double(value: Decimal) -> float:
    """The nearest double that is finite."""
    largest = sys.float_info.max
    return min(largest, max(-largest, float(value)))
