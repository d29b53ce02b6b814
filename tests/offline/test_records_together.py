"""Records that are read together come to what each of them comes to by itself, whatever they are."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mirror.offline.log import items as items_module
from mirror.offline.log import run_log, together
from mirror.offline.log.run_log import NewRows, RunLog
from mirror.store.metrics.fold import Folded, fold_rows
from tests.offline.logs import exit_record, line_record, row_record, run_record, stats_record, summary_record

KEYS = ("loss", "acc", "a/b.c", "_timestamp", "_runtime", "x" * 130, 'quo"te', "back\\slash", "tab\t", "grün", "")
VALUES = (
    "1", "-2.5e-3", "0", "-0", "-0.0", "9007199254740993", "1" * 30, "1e400", "1e17", "NaN", "-Infinity", '"text"',
    '"NaN"', '"grün"', "true", "null", "[1, 2]", "{}", '{"in": 1, "side": null}', '{"_type": "table", "n": 1}', " 1",
    "01", "1.", "1,2", "[3", "4]", '"a', 'b"', "", "nothing", '"' + "long" * 50 + '"', '"' + "longer" * 4_000 + '"',
    "[" * 150 + "]" * 150,
)  # fmt: skip
PLAIN = (*VALUES[:12], '{"_type": "table"}', "[" * 150 + "]" * 150, "nothing")
STEPS = ("0", "1", "5", "007", "3.0", "-1", "1e2", "123456789012345", "1234567890123456", "9" * 25, '"4"', "")


def field(number: int, content: bytes | int) -> bytes:
    """A field as protobuf has it on the wire."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """A number as protobuf has it on the wire."""
    spelled = bytearray()
    while number > 0x7F:
        spelled.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*spelled, number))


def item(
    path: Sequence[str], value: str, *, is_nested: bool = True, is_turned: bool = False, more: bytes = b""
) -> bytes:
    """A key and a value, as a field of a list."""
    keys = b"".join(field(2 if is_nested else 1, key.encode()) for key in path)
    told = field(16, value.encode())
    return field(1, (told + keys if is_turned else keys + told) + more)


def record(kind: int, content: bytes, *, number: int | None = None, more: bytes = b"") -> bytes:
    """A record with a field of some kind."""
    return (b"" if number is None else field(1, number)) + field(kind, content) + more


paths = st.one_of(
    st.tuples(st.sampled_from(KEYS)), st.sampled_from([("loss", "in"), ("nested", "a"), ("nested", "b"), ("a",) * 6])
)
odd = st.sampled_from([b""] * 9 + [field(9, b"more"), field(9, 7), b"\xff", b"\x08"])
items = st.builds(
    item, paths, st.sampled_from(VALUES), is_nested=st.sampled_from([True] * 5 + [False]),
    is_turned=st.sampled_from([False] * 9 + [True]), more=odd,
)  # fmt: skip
plain = st.lists(st.sampled_from(KEYS[:5]), unique=True).flatmap(
    lambda keys: st.tuples(*(st.builds(item, st.just((key,)), st.sampled_from(PLAIN)) for key in keys))
)
step_items = st.one_of(
    st.integers(0, 300).map(lambda step: item(("_step",), str(step))),
    st.builds(item, st.just(("_step",)), st.sampled_from(STEPS)),
)
steps = st.one_of(
    st.integers(0, 2**40).map(lambda step: field(2, field(1, step))),
    st.sampled_from([field(2, b""), b"", field(2, b"\x08"), field(2, field(1, 1)) + field(3, 1)]),
)
numbers = st.one_of(st.none(), st.integers(0, 2**62))


@st.composite
def rows(draw: Any) -> bytes:
    """A row of a history: most as W&B's SDK writes them."""
    told = [*draw(plain), draw(step_items)] if draw(st.integers(0, 4)) else draw(st.lists(items, max_size=5))
    content = b"".join(draw(st.permutations(told))) + draw(steps)
    return record(2, content, number=draw(numbers), more=draw(odd))


@st.composite
def summaries(draw: Any) -> bytes:
    """Changes of a summary."""
    told = draw(plain) if draw(st.booleans()) else draw(st.lists(items, max_size=4))
    gone = draw(st.sampled_from([b""] * 5 + [field(2, field(2, b"loss"))]))
    return record(3, b"".join(told) + gone, number=draw(numbers), more=draw(odd))


alerts = st.just(record(10, field(1, b"look")))
others = st.one_of(
    st.integers(0, 9).map(stats_record), st.just(line_record("a line\n")), alerts, st.just(run_record("again")),
    st.just(exit_record()), st.binary(max_size=40),
)  # fmt: skip
records = st.one_of(rows(), rows(), rows(), summaries(), others)


@st.composite
def broken(draw: Any) -> bytes:
    """A record with a byte that is another one."""
    content = bytearray(draw(records))
    if content:
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content)


@pytest.fixture(autouse=True)
def _however_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "MANY", 1)
    monkeypatch.setattr(run_log, "LONG", 0)
    monkeypatch.setattr(run_log, "SINGLE", 0)
    monkeypatch.setattr(together, "FEW", 1)
    monkeypatch.setattr(items_module, "_MOST_ITEMS", 12)


def read(contents: Iterable[Sequence[bytes]], counted_from: int = 0) -> tuple[dict[str, Any], NewRows]:
    """What a log comes to, and its rows."""
    log = RunLog(counts=lambda step: step >= counted_from)
    for some in contents:
        if len(some) == 1:
            log.take(some[0])
        else:
            log.take_many(some)
    told = {
        name: getattr(log, name)
        for name in (
            "names", "texts", "tags", "config", "files", "alerts", "exit_code", "has_exit", "last_at", "rows",
            "rows_back", "last_step", "latest_step", "unreadable", "event_rows", "console_lines", "summary_text",
            "config_text",
        )
    }  # fmt: skip
    drained = log.drain()
    told["keys"] = log.keys.over(None, log.last_step)
    return told | {"history": drained.history, "console": drained.console, "events": drained.events}, drained


def tables(folded: Folded) -> Any:
    """The cells of a history to the last bit, and its facts."""
    table = folded.table()
    values = [repr(value) for value in table["value"].to_pylist()]
    return folded.facts, folded.keys, values, table.drop_columns("value").to_pylist()


LONG_RECORDS = [record(3, b"".join(item((f"key{key}",), "1") for key in range(20))) for _ in range(3)]
CUT = [record(3, item(("loss",), "12")[:-1]), summary_record({"loss": 3})]


@example(contents=LONG_RECORDS, borders=set(), counted_from=0)
@example(contents=CUT, borders=set(), counted_from=0)
@given(
    contents=st.lists(st.one_of(records, records, broken()), min_size=2, max_size=40),
    borders=st.sets(st.integers(1, 40)), counted_from=st.sampled_from([0, 0, 3, 1000]),
)  # fmt: skip
def test_records_taken_together_come_to_what_each_comes_to_by_itself(
    contents: list[bytes], borders: set[int], counted_from: int
) -> None:
    contents = [run_record("r"), row_record(0, {"loss": 1}), *contents]
    expected, by_itself = read(([content] for content in contents), counted_from)
    cuts = sorted({0, *(border for border in borders if border < len(contents)), len(contents)})
    batches = [contents[start:stop] for start, stop in itertools.pairwise(cuts)]
    found, drained = read(([*batch, b"", b""] for batch in batches), counted_from)
    for told in (found, expected):
        told["keys"] = json.loads(told["keys"])  # which key is counted first is nobody's promise
    assert found == expected
    texts = [row.row for row in by_itself.history]
    assert tables(fold_rows(texts, drained.columns)) == tables(fold_rows(texts))


def test_rows_that_share_no_keys_are_not_kept_key_by_key() -> None:
    """A cell for each key in each row would be many times what they are."""
    contents = [run_record("r"), row_record(0, {"loss": 1})]
    contents += [row_record(step, {f"own {step}": 1, f"other {step}": 2}) for step in range(1, 60)]
    expected, _ = read([content] for content in contents)
    found, drained = read([contents])
    assert (found, drained.columns) == (expected, ())


def test_a_long_record_is_not_laid_beside_the_others() -> None:
    contents = [row_record(step, {"loss": 1}) for step in range(9)]
    contents.insert(4, summary_record({"long": "x" * 2**21}))
    expected, _ = read([content] for content in contents)
    assert read([contents])[0] == expected
    assert len(items_module.items_of(contents)[0].content) < 2**20


def test_rows_as_the_sdk_writes_them_are_read_together_in_whatever_order_their_keys_come() -> None:
    order = random.Random(1)
    contents = [run_record("r")]
    for step in range(50):
        told = [(f"key{key}", repr(step * key / 7)) for key in range(9)] + [("_step", str(step))]
        told += [(name, "3") for name in ("eval", "longer") if step % 10 == len(name)]
        order.shuffle(told)
        row = b"".join(item((key,), value) for key, value in told) + field(2, field(1, step))
        contents += [record(2, row, number=2 * step), summary_record({"key1": step}), line_record(f"step {step}\n")]
    expected, by_itself = read([content] for content in contents)
    found, drained = read([contents])
    assert found == expected
    texts = [row.row for row in by_itself.history]
    assert tables(fold_rows(texts, drained.columns)) == tables(fold_rows(texts))
    (columns,) = drained.columns
    assert (columns.first, len(columns.steps) // 8) == (1, 49)  # the first row decides where the others are put
    assert {column.key for column in columns.columns if column.numbers} >= {"key0", "key8", "eval"}
