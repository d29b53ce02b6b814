"""What runs logged, drawn: one key below the other, and of several runs their curves over one another."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from mirror.cli.histories import collect, keys_of_runs, open_history
from mirror.cli.terminal.curves import print_curve, print_curves
from mirror.cli.terminal.output import say, write
from mirror.cli.terminal.plot import Series
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.store.history.forms import WideRows

PLOTS = 6  # keys that are drawn when none is named


def plot_run(rows: WideRows, keys: Sequence[str] | None, *, log: bool) -> None:
    """Draw each key of a run for itself, one below the other.

    Args:
        rows: of the run.
        keys: that were asked for; None: the first ones that hold numbers.
        log: with a logarithmic axis of the values.
    """
    drawn = collect(rows)
    for name in keys or ():
        if name in rows.names and name not in drawn:
            say(f"{name} holds no numbers")
    for number, name in enumerate(_chosen(drawn, keys)):
        if number:
            write("")
        print_curve(drawn[name], log=log)


def plot_runs(
    home: Home,
    runs: dict[RunPath, str],
    keys: list[str] | None,
    steps: tuple[int | None, int | None] = (None, None),
    *,
    system: bool = False,
    log: bool = False,
    most: int = PLOTS,
) -> None:
    """Draw the curves of several runs over one another, a plot for each key.

    Args:
        home: the mirror.
        runs: at least two, each with the name that it has in the legend.
        keys: to draw; None: the first ones that hold numbers in the first run that has some.
        steps: the first, and the one to stop before.
        system: system metrics, each run's by the seconds since its first.
        log: with a logarithmic axis of the values.
        most: keys that are drawn when none is named.

    Raises:
        NotMirrored: a run, or its history, is not held.
    """
    found: dict[str, list[Series]] = {}
    if keys is not None and not system:
        keys = keys_of_runs(home, list(runs), keys)
        runs = runs if keys else {}
    for run, name in runs.items():
        with open_history(home, run, keys, False, steps, system, explains_keys=False) as rows:
            drawn = collect(rows)
        if keys is None and drawn:
            keys = _chosen(drawn, None, most)  # of the further runs these alone are read
        for key in keys or ():
            if key in drawn:
                title = drawn[key].name  # runs that define another step metric have a plot of their own
                found.setdefault(title, []).append(_named(drawn[key], name, from_zero=system))
            else:
                say(f"{run} has no numbers of {key!r}")
    if not found:
        say("there is nothing to draw")
    for number, (key, series) in enumerate(found.items()):
        if number:
            write("")
        print_curves(key, series, log=log)


def _chosen(drawn: dict[str, Series], keys: Sequence[str] | None, most: int = PLOTS) -> list[str]:
    wanted = [name for name in (keys or drawn) if name in drawn]
    if keys is None and len(wanted) > most:
        say(f"drawn are the first {most} of {len(wanted)} keys; choose with --keys")
        wanted = wanted[:most]
    if not wanted:
        say("no rows")
    return wanted


def _named(series: Series, name: str, *, from_zero: bool) -> Series:
    first = series.steps[0] if from_zero else 0.0
    return Series(name=name, steps=array("d", (step - first for step in series.steps)), values=series.values)
