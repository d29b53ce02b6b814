"""Times as people read them: those of their clock, or with a `Z` in UTC where `--utc` asks for it.

What programs read, JSON and CSV, is in UTC always, and so is what SQL answers: it is compared with what is in the lake.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_ASKED = "mirror.cli.utc"


def utc_option(function: F) -> F:
    """`--utc`, for commands that show times."""

    def keep(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        ctx.meta[_ASKED] = value or ctx.meta.get(_ASKED, False)

    return click.option(
        "--utc", is_flag=True, expose_value=False, callback=keep, help="Show times in UTC, not in local time."
    )(function)


def clock_text(moment: dt.datetime, *, timespec: str = "seconds") -> str:
    """A time for people.

    Args:
        moment: UTC where it has no zone.
        timespec: how exact: `minutes` or `seconds`.
    """
    context = click.get_current_context(silent=True)
    utc = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    if context is None or not context.meta.get(_ASKED, False):
        try:
            return utc.astimezone().replace(tzinfo=None).isoformat(sep=" ", timespec=timespec)
        except (OverflowError, OSError, ValueError):  # the first and last hours of the calendar have no other zone
            pass
    return f"{utc.replace(tzinfo=None).isoformat(sep=' ', timespec=timespec)}Z"


def reclocked(text: str) -> str:
    """A time in ISO 8601 for people; what is none stays as it is."""
    try:
        return clock_text(dt.datetime.fromisoformat(text))
    except ValueError:
        return text
