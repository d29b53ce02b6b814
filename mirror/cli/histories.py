"""A run's history opened as people ask for it, with what is to be said about it; and its numbers, as what is drawn."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from mirror.cli.names import find_key
from mirror.cli.run_paths import not_mirrored
from mirror.cli.terminal.output import say
from mirror.cli.terminal.plot import Series, by_place
from mirror.errors import NotMirrored
from mirror.layout import Home
from mirror.records.addresses import RunPath
from mirror.store.engine.reader import Reader
from mirror.store.history.axes import Axes
from mirror.store.history.forms import WideRows
from mirror.store.history.history import wide_history
from mirror.store.metrics.system_history import system_history
from mirror.store.read.run_overview import RunOverview, history_keys, logged_as_none, run_overview, unknown_among
from mirror.texts.amounts import plural
from mirror.texts.naming import near
from mirror.texts.typed_paths import in_shell

KEYS_SHOWN = 8  # where none is near
OWN_KEYS = ("_step", "_timestamp", "_runtime")


def keys_of_people(home: Home, path: RunPath, keys: list[str] | None) -> list[str] | None:
    """Keys of a run's history, each from whatever names just one; what names none is kept.

    Raises:
        AmbiguousName: several keys fit.
    """
    if not keys:
        return keys
    with Reader(home) as lake:
        held = history_keys(lake, path)
    unknown = unknown_among(held, keys)
    return [find_key(key, held) if key in unknown else key for key in keys]


def keys_of_runs(home: Home, paths: Sequence[RunPath], keys: Sequence[str]) -> list[str]:
    """The same for several runs, of which one at least logged a key; what none did is said once, and left out.

    Raises:
        AmbiguousName: several keys fit.
    """
    with Reader(home) as lake:
        held = list(dict.fromkeys(key for path in paths for key in history_keys(lake, path)))
    named = [key if key in held or not unknown_among(held, [key]) else find_key(key, held) for key in keys]
    unknown = unknown_among(held, named)
    for key in unknown:
        close = near(key, held)
        known = ", ".join(close or [name for name in held if name not in OWN_KEYS][:KEYS_SHOWN])
        say(f"none of these runs logged {key!r}" + (f"; {'near' if close else 'known'} are {known}" if known else ""))
    return [key for key in named if key not in unknown]


@contextlib.contextmanager
def open_history(
    home: Home,
    path: RunPath,
    keys: list[str] | None,
    every_key: bool,
    steps: tuple[int | None, int | None],
    system: bool,
    *,
    explains_keys: bool = True,
) -> Iterator[WideRows]:
    """The rows that are asked for, after what is to be said about them.

    Raises:
        NotMirrored: the run, or its history, is not held.
    """
    with Reader(home) as lake:
        found = run_overview(lake, path)
        if found is None:
            raise not_mirrored(path, home)
        if system:
            if not found.system_metric_rows:
                say(f"{path} holds no system metrics")
            reader = system_history(lake, path, keys=keys)
        elif found.history is None:
            _explain_absence(found)
            reader = system_history(lake, path, keys=[])
            yield WideRows(reader)
            return
        else:
            if not found.history.complete:
                say(f"this history is not complete: {found.history.reason}")
            held = history_keys(lake, path) if keys else []
            reader = wide_history(
                lake, path, keys=keys, min_step=steps[0], max_step=steps[1], rows="all" if every_key else "any"
            )
            if explains_keys and (unknown := unknown_among(held, keys or ())):
                _explain_keys(path, unknown, logged_as_none(lake, path, unknown), held)
        yield WideRows(reader, None if system else Axes(lake, path))


def _explain_keys(path: RunPath, unknown: Sequence[str], nones: Mapping[str, int], held: Sequence[str]) -> None:
    """Say what no row holds, and what was logged as None, which rows do not tell from nothing."""
    for name in unknown:
        if name in nones:
            say(f"{name!r} was logged as None alone, {plural(nones[name], 'time')}")
        else:
            close = near(name, held)
            say(f"no row of {path} holds {name!r}" + (f"; near are {', '.join(close)}" if close else ""))


def _explain_absence(run: RunOverview) -> None:
    """Say why there is nothing, where that is the truth.

    Raises:
        NotMirrored: the server has something.
    """
    path = f"{run.entity}/{run.project}/{run.run_id}"
    failed = next((failure for failure in run.failures if failure.item in {"history", "contents"}), None)
    if failed is not None:
        raise NotMirrored(
            f"the history of {path} could not be mirrored: {failed.reason}",
            hint="pull --retry-quarantined tries again" if failed.quarantined else "the next pull tries again",
        )
    if run.history_line_count:
        typed = in_shell(run.entity, run.project, run.run_id)
        raise NotMirrored(
            f"the history of {path} is not in this mirror",
            hint=f"fetch it with `wandb-mirror pull {typed}`, and history = true in its source",
        )
    say(f"{path} logged no history")


def collect(rows: WideRows) -> dict[str, Series]:
    """The points of every key that holds numbers, by name; over the step metric that the run defined for it."""
    found: dict[str, Series] = {}
    over = {name: rows.axes.of(name) if rows.axes is not None else None for name in rows.names[1:]}
    for number, row in enumerate(rows.points()):
        step = row[0] if row[0] is not None else float(number)
        for name, value in zip(rows.names[1:], row[1:], strict=True):
            if value is None or name in OWN_KEYS:
                continue
            axis = over[name]
            place = step if axis is None or rows.axes is None else rows.axes.place(name, step)
            if place is not None:
                found.setdefault(name, Series(name=f"{name} over {axis}" if axis else name)).add(place, value)
    return {name: by_place(series) if over[name] else series for name, series in found.items()}
