"""Between a home's outbox and its group's: what this home queued goes there, what waits there is shown here.

    1. an entry is signed with its author            crash: it is handed over next time
    2. its bytes are in the bucket                   crash: the same; nobody collects them within `objects_days`
    3. the group has its row                         it is delivered by whoever holds the lease
    4. the row is gone, its receipt is in the lake   the copy here goes

An entry that has an author and no row was either never handed over, or done with long ago: its receipt tells.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial

import msgspec

from mirror.durable import write_replace
from mirror.errors import HomeUnusable, LakeAway, MirrorError, NotMirrored, StoreError
from mirror.layout import Home
from mirror.locks import is_locked, locked
from mirror.outbox import Outbox
from mirror.outbox.group import GroupOutbox, author_here
from mirror.outbox.names import id_in
from mirror.outbox.reading import Placed
from mirror.records.operations import Edit, Entry, EntryState, UploadFile, entry_of_json
from mirror.store.engine.connection import store_errors
from mirror.store.engine.lake import Lake
from mirror.store.engine.queries import Queryable
from mirror.store.engine.reader import Reader
from mirror.store.objects.objects import Objects
from mirror.store.read.receipts import asked_of, endings_of
from mirror.typed import convert, decode

AT_ONCE = 200
EVERY_S = 5.0  # between two looks of a process that only reads
DONE = frozenset({"applied", "already_so", "theirs", "dropped"})


class Shared(msgspec.Struct, kw_only=True):
    """What one exchange came to."""

    handed_over: int = 0
    came: int = 0  # changes of the group's that are shown here now
    left: int = 0  # copies whose operations are done with


class _Cursor(msgspec.Struct, frozen=True):
    """How far the group's changes are known here."""

    catalog: str
    number: int
    incarnation: str = ""  # of the database that counts; "": an older version did not ask


def share(outbox: GroupOutbox, objects: Objects, lake: Queryable, *, anew: bool = False) -> Shared:
    """Exchange once: hand over, then copy. Beside others of this home and of all others.

    Args:
        outbox: of the home.
        objects: of the same.
        lake: the shared one, whose receipts tell what is done.
        anew: copy all that the group has, whatever is known here.

    Raises:
        LakeAway: database or bucket do not answer; what was handed over is.
        StoreError: they refuse, or the disk failed.
    """
    done = Shared()
    with store_errors(outbox.home), locked(outbox.home.sharing_lock), outbox.rows.session():
        _share(outbox, objects, lake, done, anew)
    return done


def _share(outbox: GroupOutbox, objects: Objects, lake: Queryable, done: Shared, anew: bool) -> None:
    for _ in range(2):  # what got another id in the first is handed over in the second
        if not sum(_hand_over(outbox, objects, lake, some, done) for some in _chunks(outbox.entries())):
            break
    begin = _Cursor(outbox.rows.catalog, 0, outbox.rows.incarnation())
    cursor = begin if anew else _read_cursor(outbox, begin)
    if cursor.number > outbox.rows.last_number():  # a copy of the disk was put in its place
        cursor = begin
    _copy(outbox, done, cursor)


def begin_to_deliver(outbox: GroupOutbox, objects: Objects, lake: Lake) -> None:
    """Take what the group says for what is so, and be the one that changes it from then on.

    What lies here may be of an earlier lease, whose process ended before the group was told.

    Args:
        outbox: of a home that has the lease now.
        objects: of the same.
        lake: opened for writing.

    Raises:
        LakeAway, StoreError: as `share`.
    """
    share(outbox, objects, lake, anew=True)
    outbox.rows.option = lake.storage.option
    outbox.delivers = True


def share_now_and_then(outbox: Outbox) -> None:
    """The same where it is due, for who only reads; a group that is not there changes nothing of what is shown."""
    if not isinstance(outbox, GroupOutbox):
        return
    with _turn:
        if time.monotonic() < _due.get(outbox.home, 0.0):
            return
        _due[outbox.home] = time.monotonic() + EVERY_S
    if is_locked(outbox.home.sharing_lock):  # another process is at it, perhaps at gigabytes of bytes
        return
    with contextlib.suppress(MirrorError):
        share_with_reader(outbox)


def share_with_reader(outbox: GroupOutbox) -> Shared:
    """`share` of a process that has not opened the lake.

    Raises:
        LakeAway, StoreError: as `share`.
    """
    with Reader(outbox.home) as lake:
        return share(outbox, Objects(outbox.home), lake)


_turn = threading.Lock()
_due: dict[Home, float] = {}  # monotonic


def _hand_over(outbox: GroupOutbox, objects: Objects, lake: Queryable, some: list[Placed], done: Shared) -> bool:
    """Hand some over; whether some are entries of another id now, which are to be handed over yet."""
    grown = _renew(outbox, lake, [entry for _, entry in some if entry.author is None])
    some = [one for one in some if one.entry.id not in grown]
    author = author_here()
    signed: list[tuple[EntryState, Entry]] = []
    for state, entry in some:
        if entry.author is not None:
            signed.append((state, entry))
        elif state != "claimed" and (mine := outbox.sign(entry, author)) is not None:
            signed.append((state, mine))
    known = outbox.rows.states([entry.id for _, entry in signed])
    gone = [entry for _, entry in signed if known.get(entry.id) == "gone"]
    strange = [(state, entry) for state, entry in signed if entry.id not in known]
    if strange:
        ended = _ended(lake, [entry for _, entry in strange])
        gone += [entry for _, entry in strange if entry.id in ended]
        missing = [(_shown(state), entry) for state, entry in strange if entry.id not in ended]
        with outbox.rows.handing_over() as group:
            _bring_bytes(objects, [entry for _, entry in missing])
            known_since = group.add(missing)
        done.handed_over += len(missing) - len(known_since)
        grown |= _renew(outbox, lake, [entry for _, entry in missing if entry.id in known_since])
    outbox.forget(gone)
    done.left += len(gone)
    return bool(grown)


def _renew(outbox: GroupOutbox, lake: Queryable, entries: Iterable[Entry]) -> set[str]:
    """Give edits another id that are known to the group, by a copy of this home, and to which something was added here.

    Returns:
        The ids that they had.
    """
    grown = {entry.id: entry for entry in entries if entry.folded and isinstance(entry.operation, Edit)}
    if not grown:
        return set()
    known: dict[str, tuple[Edit, tuple[str, ...]]] = {}
    with contextlib.suppress(NotMirrored):
        for entry_id, (asked, folded) in asked_of(lake, [*grown]).items():
            known[entry_id] = convert(json.loads(asked), Edit), folded
    for entry_id, content in outbox.rows.contents([*grown]).items():
        with contextlib.suppress(ValueError):  # a newer version's
            entry = entry_of_json(content)
            if isinstance(entry.operation, Edit):
                known[entry_id] = entry.operation, entry.folded
    renewed = set()
    for entry_id, (operation, folded) in known.items():
        entry = grown[entry_id]
        if not set(entry.folded).issubset(folded) and outbox.renew(entry, operation, folded):
            renewed.add(entry_id)
    return renewed


def _bring_bytes(objects: Objects, entries: Iterable[Entry]) -> None:
    """Put what uploads need into the bucket, anew where it is there: who collects spares what is young."""
    assert objects.shared is not None
    for entry in entries:
        if isinstance(entry.operation, UploadFile):
            try:
                path = objects.path(entry.operation.object)
            except (LakeAway, HomeUnusable):
                raise
            except StoreError:  # gone: whoever delivers it says so, and nothing else waits for it
                continue
            objects.shared.put(entry.operation.object, path)


def _ended(lake: Queryable, entries: list[Entry]) -> set[str]:
    try:
        found = endings_of(lake, [entry.id for entry in entries])
    except NotMirrored:  # nothing was pulled into the lake yet
        return set()
    return {name for name, endings in found.items() if any(one.outcome in DONE for one in endings)}


def _copy(outbox: GroupOutbox, done: Shared, cursor: _Cursor) -> None:
    """Show here what changed in the group since."""
    while rows := outbox.rows.since(cursor.number, AT_ONCE):
        gone: set[str] = set()
        for row in rows:
            if row.state == "gone" or row.content is None:
                gone.add(row.id)
                continue
            with contextlib.suppress(ValueError):  # a newer version's: whoever delivers has that version
                outbox.copy(entry_of_json(row.content), row.state)
        if gone:
            left = [entry for _, entry in outbox.entries(wanted=partial(_is_of, gone))]
            outbox.forget(left)
            done.left += len(left)
        done.came += len(rows)
        cursor = msgspec.structs.replace(cursor, number=rows[-1].number)
        write_replace(outbox.home.outbox_cursor, msgspec.json.encode(cursor))


def _is_of(ids: set[str], name: str) -> bool:
    return id_in(name) in ids


def _read_cursor(outbox: GroupOutbox, begin: _Cursor) -> _Cursor:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        known = decode(outbox.home.outbox_cursor.read_bytes(), _Cursor)
        if msgspec.structs.replace(known, number=0) == begin:
            return known
    return begin


def _shown(state: EntryState) -> EntryState:
    return "new" if state == "claimed" else state


def _chunks(placed: Iterable[Placed]) -> Iterator[list[Placed]]:
    some: list[Placed] = []
    for one in placed:
        some.append(one)
        if len(some) >= AT_ONCE:
            yield some
            some = []
    if some:
        yield some
