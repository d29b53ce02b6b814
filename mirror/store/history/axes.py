"""Where the values of a key lie when they are drawn over the step metric that the run defined for it."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right

from mirror.records.addresses import RunPath
from mirror.records.step_metrics import StepMetrics, step_metrics_of
from mirror.store.engine.queries import Queryable
from mirror.store.engine.reader import Reader
from mirror.store.history.forms import WideRows
from mirror.store.history.history import wide_history
from mirror.store.schema.keys import OF_RUN


class Axes:
    """The step metrics of a run, and their values, each read when the first place on it is asked for.

    Args:
        reader: of the home.
        run: whose.
    """

    def __init__(self, reader: Reader, run: RunPath) -> None:
        self._reader, self._run = reader, run
        self._defined = defined_step_metrics(reader, run)
        self._held: dict[str, _Axis] = {}

    def of(self, key: str) -> str | None:
        """The metric that a key is drawn over; None: W&B's own steps, also where the metric has no value at all."""
        name = self._defined.of(key)
        return name if name is not None and self._axis(name).steps else None

    def place(self, key: str, step: float) -> float | None:
        """Where a value of a key lies: at the step metric's value then, or at its last one before; None: nowhere."""
        name = self.of(key)
        return step if name is None else self._axis(name).at(step)

    def _axis(self, name: str) -> _Axis:
        if name not in self._held:
            self._held[name] = axis = _Axis()
            for step, value in WideRows(wide_history(self._reader, self._run, keys=[name])).points():
                if step is not None and value is not None and math.isfinite(value):
                    axis.steps.append(step)
                    axis.values.append(value)
        return self._held[name]


class _Axis:
    """The finite values of a step metric, by step."""

    def __init__(self) -> None:
        self.steps, self.values = array("d"), array("d")

    def at(self, step: float) -> float | None:
        place = bisect_right(self.steps, step)
        return self.values[place - 1] if place else None


def defined_step_metrics(lake: Queryable, run: RunPath) -> StepMetrics:
    """What a run defined; nothing for one that is not held."""
    rows = lake.rows(f"SELECT config_wire FROM lake.runs WHERE {OF_RUN}", run)
    return step_metrics_of(rows[0][0] if rows else None)
