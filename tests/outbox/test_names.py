"""Ids are UUIDv7 and rise, whatever the clock does and whoever asks."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.outbox.names import is_id, is_name, name_of, next_id, run_tag, tag_in
from mirror.records.addresses import RunPath
from tests.outbox.operations import RUNS, upload

RUN = RUNS[0]


@given(st.lists(st.integers(-5, 1 << 49), max_size=50))
def test_ids_rise_whatever_the_clock_says(times: list[int]) -> None:
    last = None
    for now in times:
        new = next_id(now, last)
        assert is_id(new)
        assert (uuid.UUID(new).version, uuid.UUID(new).variant) == (7, uuid.RFC_4122)
        assert last is None or new > last
        last = new


def test_an_id_tells_its_time() -> None:
    now = int(dt.datetime(2026, 1, 2, tzinfo=dt.UTC).timestamp() * 1000)
    assert uuid.UUID(next_id(now, None)).int >> 80 == now


def test_a_damaged_last_id_at_the_end_of_time_does_not_end_the_outbox() -> None:
    assert is_id(next_id(1, "ffffffff-ffff-7fff-bfff-ffffffffffff"))


def test_names_tell_their_run_and_nothing_else_of_it() -> None:
    hostile = RunPath("..", "a/b", "\x00\n" * 100)
    name = name_of(next_id(1, None), hostile)
    assert is_name(name)
    assert tag_in(name) == run_tag(hostile) != run_tag(RunPath("..", "a", "b" + hostile[2]))
    assert not is_name(name + "~")


def test_threads_and_processes_get_ids_in_the_order_of_their_puts(home: Home) -> None:
    clock = [dt.datetime(2030, 1, 1, tzinfo=dt.UTC)]
    before = Outbox(home, now=lambda: clock[0]).put(RUN, None, upload("first"))
    clock[0] = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)  # a machine without a battery, after a power cut
    ids: list[list[str]] = [[] for _ in range(4)]

    def work(own: list[str], outbox: Outbox) -> None:
        own.extend(outbox.put(RUN, None, upload(str(number))).id for number in range(10))

    shared = Outbox(home, now=lambda: clock[0])
    threads = [
        threading.Thread(target=work, args=(own, shared if index % 2 else Outbox(home, now=lambda: clock[0])))
        for index, own in enumerate(ids)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(own == sorted(own) for own in ids)
    assert len({one for own in ids for one in own}) == 40
    assert all(one > before.id for own in ids for one in own)


def test_the_clock_going_back_while_the_lock_file_was_lost_keeps_the_order(home: Home) -> None:
    first = Outbox(home, now=lambda: dt.datetime(2030, 1, 1, tzinfo=dt.UTC)).put(RUN, None, upload("a"))
    home.outbox_lock.unlink()
    second = Outbox(home, now=lambda: dt.datetime(2020, 1, 1, tzinfo=dt.UTC)).put(RUN, None, upload("b"))
    assert second.id > first.id
    assert second.created_at.year == 2020


def test_an_entry_of_another_home_keeps_its_id_and_later_ones_come_after_it(home: Home, fast_path: Path) -> None:
    ahead = Outbox(Home(fast_path / "ahead"), now=lambda: dt.datetime(2090, 1, 1, tzinfo=dt.UTC))
    entry = ahead.put(RUN, None, upload("a"))
    outbox = Outbox(home)
    before = outbox.put(RUN, None, upload("b"))
    assert outbox.adopt(entry)
    assert not outbox.adopt(entry)
    after = Outbox(home).put(RUN, None, upload("c"))
    assert [placed.entry for placed in outbox.of_run(RUN)] == [before, entry, after]
