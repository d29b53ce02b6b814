"""What a run wrote line by line: the bytes of history, system metrics and console become values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from mirror.api.rows.answers import one_line
from mirror.api.rows.flaws import Flaws, decode_flawed, fields_of, inside, names_in
from mirror.api.rows.listed import LogPage, RunStreams
from mirror.api.rows.lists import CUT, NO_FLAWS, flaws_by_place, read_list
from mirror.api.rows.scalars import ABSENT, Int64, int_or_none, is_told, to_int
from mirror.api.rows.times import time_or_none
from mirror.records.console import ConsoleLine
from mirror.texts.values import is_object
from mirror.typed import decode


class _Line(msgspec.Struct):
    number: int | float | str
    timestamp: str | None = None
    level: str | None = None
    label: str | None = None
    line: str | None = None


class WireStreams(msgspec.Struct, rename="camel"):
    """What was asked of a run's streams; what was not asked is not there."""

    id: str = ""
    name: str = ""
    events: msgspec.Raw = ABSENT
    history: msgspec.Raw = ABSENT
    log_lines: msgspec.Raw = ABSENT
    log_tail: msgspec.Raw = ABSENT
    log_line_count: Int64 = None


# The server's fields, and what each is part of.
_STREAMS = {
    "events": "system metrics",
    "history": "history",
    "logLines": "console",
    "logTail": "console",
}
_MADE_OF = {"timestamp": ("at", "at_text")}
_FIELDS = frozenset({"timestamp", "level", "label", "line"})


def to_streams(
    node: msgspec.Raw | bytes,
    *,
    with_log: bool,
    log_after: str | None,
    is_tail: bool,
    failed: Mapping[str, str] = MappingProxyType({}),
) -> RunStreams:
    """What was asked of a run's streams.

    Args:
        node: the bytes of one run.
        with_log: whether console lines were asked for; a run that never wrote any gives null.
        log_after: the cursor that they were asked behind.
        is_tail: the newest ones were asked for.
        failed: what the server could not serve, with its words, by field or by path.

    Raises:
        ValueError: it is no run.
    """
    wire, _ = decode_flawed(node, WireStreams)
    reasons, flawed = _by_stream(wire, failed)
    events = _rows(wire.events, "system metrics", reasons)
    history = _rows(wire.history, "history", reasons)
    log = None
    if with_log and "console" not in reasons and (wire.log_lines, wire.log_tail) != (ABSENT, ABSENT):
        try:
            log = to_log_page(wire, after=log_after, is_tail=is_tail, failed=failed)
        except (ValueError, RecursionError) as error:
            reasons["console"] = one_line(f"the server's answer for it: {error}")
    if log is not None and log.flaw is not None:
        flawed["console"] = log.flaw
    return RunStreams(
        run_id=wire.name, storage_id=wire.id, events=events, log=log, history=history, failed=reasons, flawed=flawed
    )


def _by_stream(wire: WireStreams, failed: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Streams that failed as a whole, and those of which something failed, with the server's words."""
    values = {"events": wire.events, "history": wire.history, "logLines": wire.log_lines, "logTail": wire.log_tail}
    reasons: dict[str, str] = {}
    flawed: dict[str, str] = {}
    for path, reason in failed.items():
        field, _, rest = path.partition(".")
        if field in _STREAMS:
            (flawed if rest and is_told(values[field]) else reasons)[_STREAMS[field]] = reason
    return reasons, flawed


def _rows(raw: msgspec.Raw, stream: str, reasons: dict[str, str]) -> tuple[str | None, ...] | None:
    """The rows of a stream; None when it was not asked for, or is no list, which is noted."""
    if stream in reasons or raw == ABSENT:
        return None
    try:
        return stream_rows(raw)
    except ValueError as error:
        reasons[stream] = one_line(f"the server's answer for it: {error}")
        return None


def stream_rows(raw: msgspec.Raw) -> tuple[str | None, ...]:
    """The rows of a stream by place, each the text of a JSON object; None in place of what is none.

    Servers send them as texts; an object is taken as the text that it is.

    Raises:
        ValueError: it is no list.
    """
    if not is_told(raw):
        return ()
    return tuple(map(_row, decode(raw, list[msgspec.Raw])))


def _row(raw: msgspec.Raw) -> str | None:
    data = bytes(raw).strip()
    if data.startswith(b"{"):
        return data.decode()
    text = msgspec.json.decode(data, type=str) if data.startswith(b'"') else None
    return text if text is not None and is_object(text) else None


def to_log_page(
    wire: WireStreams, *, after: str | None, is_tail: bool, failed: Mapping[str, str] = MappingProxyType({})
) -> LogPage:
    """A page of console lines. W&B API notes, section 6, says when there are more.

    Args:
        wire: a run of which lines were asked for.
        after: the cursor that they were asked behind.
        is_tail: the newest ones were asked for.
        failed: what the server could not serve of the run, by field or by path.

    Raises:
        ValueError: it is no list, or nothing of it can be read, though the server counts or lists lines.
    """
    count = int_or_none(wire.log_line_count)
    field = "logTail" if is_told(wire.log_tail) else "logLines"
    listed = read_list(wire.log_tail if field == "logTail" else wire.log_lines)
    wrong, flaw = flaws_by_place(inside(failed, field))
    lacking: frozenset[str] | None = None  # the same of every line of a page: what was not asked
    lines: list[ConsoleLine] = []
    for place, node in enumerate(listed.nodes):
        try:
            if node is None:
                continue
            if lacking is None:
                lacking = _FIELDS - names_in(node)
            lines.append(_line(node, lacking, wrong.get(place, NO_FLAWS)))
        except (ValueError, RecursionError) as error:
            flaw = flaw or str(error)
    unreadable = len(listed.nodes) - len(lines)
    if unreadable and flaw is None:
        flaw = f"{unreadable} places without a line"
    end = listed.end_cursor
    # A page may be cut short by a size budget with `hasNextPage: false`.
    behind = bool(lines) and count is not None and lines[-1].number + 1 < count
    goes_on = bool(end) and end != after and (behind or bool(listed.has_next))
    is_first = after is None or is_tail
    if not lines and ((count and not listed.told) or (is_first and not goes_on and (count or unreadable))):
        raise ValueError(flaw or f"it counts {count} lines and gives none")
    is_whole = count is not None and bool(lines) and not behind
    is_cut = bool(listed.has_next) and not goes_on and not is_tail and not is_whole
    flaw = flaw or (CUT if is_cut else None)
    return LogPage(
        lines=tuple(lines),
        after=end or after,
        has_more=goes_on and not is_tail,
        is_cut=is_cut,
        line_count=count,
        unreadable=unreadable,
        is_tail=is_tail,
        flaw=None if flaw is None else one_line(flaw),
    )


def _line(node: msgspec.Raw, lacking: frozenset[str], failed: Flaws) -> ConsoleLine:
    """A console line.

    Raises:
        ValueError: it has no place among the others.
    """
    wire, lies = decode_flawed(node, _Line)
    number = to_int(wire.number)
    if number is None or number < 0:
        raise ValueError("a line has a number below 0")
    untold = _NOTHING
    if lacking or lies or failed:
        names = lacking | (lies.keys() | fields_of(failed).keys()) & _FIELDS
        untold = frozenset(made for name in names for made in _MADE_OF.get(name, (name,)))
    return ConsoleLine(
        number=number,
        at=time_or_none(wire.timestamp),
        at_text=wire.timestamp,
        level=wire.level or "",
        label=wire.label or "",
        line=wire.line or "",
        untold=untold,
    )


_NOTHING: frozenset[str] = frozenset()


def count_lost(rows: Sequence[str | None]) -> int:
    """How many rows of a stream cannot be read."""
    return sum(row is None for row in rows)
