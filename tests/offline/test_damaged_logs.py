"""Damage costs the record that it hit, and no other; a log that is cut, or still grows, is read as far as it goes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.offline.log.framing import BLOCK, HEADER, Damage, Frame, NoLog, framed, read_frames
from mirror.offline.log.run_log import RunLog
from tests.cli.conftest import Cli
from tests.offline.logs import exit_record, offline_log, row_record, run_record, run_records, write_log
from tests.soaking import thin

# Of many sizes: several in a block, one that ends with it, some over several blocks, empty ones.
SIZES = (10, 0, 500, BLOCK - 600, 3, 40_000, 100, 2 * BLOCK, 7_000, BLOCK - 7, 1, 0, 9_000, 70_000, 5)
NEAR = (-8, -7, -6, -1, 0, 1, 4, 6, 7, 8)  # around the header of seven bytes


def content(number: int, size: int) -> bytes:
    """Bytes that are like no others."""
    return (f"{number:x}".encode() * (size + 1))[:size]


CONTENTS = [content(number, size) for number, size in enumerate(SIZES)]
PIECES = list(framed(CONTENTS, 0))
LOG = b"".join(PIECES)
EDGES = [sum(map(len, PIECES[: number + 1])) for number in range(len(PIECES))]
ENDS = EDGES[1:]
SPANS = list(pairwise(EDGES))  # of each record, with the padding before it
BOUNDARIES = sorted(
    {edge + near for edge in (*range(0, len(LOG), BLOCK), *EDGES) for near in NEAR} & {*range(len(HEADER), len(LOG))}
)


def read(log: bytes, start: int = 0, *, is_whole: bool = True) -> tuple[list[bytes], list[Damage], int]:
    """Records, damage, and where to go on."""
    found = list(read_frames(io.BytesIO(log), start, is_whole=is_whole))
    frames = [one.content for one in found if isinstance(one, Frame)]
    return frames, [one for one in found if isinstance(one, Damage)], found[-1].end if found else start


def hit(at: int) -> set[int]:
    """The numbers of the records to which a byte belongs: none where it only fills a block."""
    return {
        number for number, (start, end) in enumerate(SPANS) if start <= at < end and not _is_padding(at, start)
    }  # fmt: skip


def _is_padding(at: int, start: int) -> bool:
    room = BLOCK - start % BLOCK
    return room < 7 and at < start + room


def without(numbers: set[int]) -> list[bytes]:
    """The records but these."""
    return [content for number, content in enumerate(CONTENTS) if number not in numbers]


def test_what_is_framed_is_read() -> None:
    assert read(LOG) == (CONTENTS, [], len(LOG))
    assert len(LOG) > 7 * BLOCK


@pytest.mark.parametrize("bit", thin(range(8), {0, 3, 7}))
def test_a_flipped_bit_at_any_boundary_costs_the_record_that_it_hit(bit: int) -> None:
    for at in BOUNDARIES:
        damaged = bytearray(LOG)
        damaged[at] ^= 1 << bit
        frames, damages, _ = read(bytes(damaged))
        assert frames == without(hit(at)), at
        assert bool(damages) == bool(hit(at)), at
        assert all(damage.reason and damage.start < damage.end for damage in damages)


@given(st.lists(st.tuples(st.integers(len(HEADER), len(LOG) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_damage_anywhere_leaves_everything_else(places: list[tuple[int, int]]) -> None:
    damaged = bytearray(LOG)
    for at, change in places:
        damaged[at] ^= change
    frames, damages, _ = read(bytes(damaged))
    lost = {number for at, _ in places for number in hit(at)}
    if len({at for at, _ in places}) == len(places):
        assert frames == without(lost)
        assert bool(damages) == bool(lost)


@given(st.integers(len(HEADER), len(LOG)), st.sampled_from([b"", b"\0" * 100, b"\0" * BLOCK, b"\xff" * 300]))
def test_a_log_that_was_cut_has_every_record_before_the_cut(at: int, more: bytes) -> None:
    frames, damages, _ = read(LOG[:at] + more)
    assert frames == [content for content, end in zip(CONTENTS, ENDS, strict=True) if end <= at]
    if not more and at not in ENDS and hit(at - 1):
        assert damages


@pytest.mark.parametrize("at", range(len(HEADER)))
def test_a_log_whose_header_is_damaged_is_none(at: int) -> None:
    damaged = bytearray(LOG)
    damaged[at] ^= 1
    with pytest.raises(NoLog):
        read(bytes(damaged))


def grown(steps: Sequence[int]) -> Iterator[bytes]:
    """The log at some of its lengths, and whole."""
    yield from (LOG[:length] for length in [*sorted(steps), len(LOG)])


@given(st.lists(st.sampled_from([*BOUNDARIES, *range(0, len(LOG), 997)]), max_size=30))
def test_a_log_that_grows_is_read_once_however_its_writes_fall(steps: list[int]) -> None:
    frames: list[bytes] = []
    offset = 0
    for log in grown(steps):
        some, damages, offset = read(log, offset, is_whole=False)
        frames += some
        assert damages == []
    assert frames == CONTENTS


def test_every_length_of_a_growing_log_tells_what_is_whole_of_it() -> None:
    offset, frames = 0, []
    for length in BOUNDARIES:
        some, _, offset = read(LOG[:length], offset, is_whole=False)
        frames += some
        assert frames == [content for content, end in zip(CONTENTS, ENDS, strict=True) if end <= length]


def test_bytes_that_are_no_record_of_the_sdks_are_counted() -> None:
    log = RunLog()
    for record in (run_record("r"), b"\xff\xff", row_record(0, {"x": 1}), b"", exit_record()):
        log.take(record)
    assert (log.unreadable, log.rows, log.has_exit) == (1, 1, True)


def test_damage_is_counted_and_named_and_the_rest_is_in_the_lake(cli: Cli, tmp_path: Path) -> None:
    log = write_log(offline_log(tmp_path, "r"), run_records("r", 200, wide=1000))
    bytes_ = bytearray(log.read_bytes())
    for at in (2 * BLOCK + 300, 4 * BLOCK):
        bytes_[at] ^= 1
    log.write_bytes(bytes_)
    cli.configure("team/proj")
    (run,) = cli("add", str(tmp_path), "--json", code=0).json["runs"]
    assert run["damaged"] == 2
    assert run["damage"].endswith(": a checksum does not fit")
    rows = cli("history", "team/proj/r", "--json", code=0).json
    steps = [row["_step"] for row in rows]
    assert run["rows"] == len(steps) == 198
    assert steps == sorted(set(steps))
    (line,) = cli("add", str(tmp_path), code=0).out.splitlines()
    assert "198 rows" in line
    assert "2 damaged places: " in line
