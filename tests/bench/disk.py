"""What the disk itself bounds: queueing an operation durably beside write and fsync, `verify` beside `sha256sum`."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from itertools import count, islice, repeat
from pathlib import Path

from mirror.check import verify
from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.records.addresses import RunPath
from mirror.records.operations import Change, Edit, Entry, Operation, UploadFile, encode_entry
from mirror.store_settings import StoreSettings
from tests.bench.figures import Figure, at_least, figure
from tests.bench.measuring import CORES, Context, in_turn, walls

KINDS = ("uploads", "edits of many runs", "edits of one run")


def bench(context: Context) -> Iterator[Figure]:
    """Both."""
    for number, kind in enumerate(KINDS):
        yield queueing(Context(context.folder / str(number), context.is_full), kind)
    for number, (objects, size) in enumerate(context.of(((4, 2_000),), ((24, 16_000_000), (6_000, 20_000)))):
        yield verifying(Context(context.folder / f"verify{number}", context.is_full), objects, size)


def queueing(context: Context, kind: str) -> Figure:
    """Operations, each on the disk for certain before the next."""
    each = context.of(3, 100)
    bare = context.folder / "bare"
    for name in ("tmp", "new"):
        (bare / name).mkdir(parents=True)
    outbox, numbers = Outbox(Home(context.folder / "home")), count()

    def put() -> Entry:
        number = next(numbers)
        operation: Operation = Edit(config={"lr": Change(base=0.1, value=number)})
        if kind == "uploads":
            operation = UploadFile(name=f"file{number}", object="ab" * 32, size=number, md5="Zm9v")
        return outbox.put(RunPath("entity", "project", f"run{0 if kind == KINDS[2] else number}"), "id", operation)

    content = encode_entry(put())
    # An edit that is folded replaces a file, which costs the disk more: so does the loop that it is compared with.
    names = repeat("0") if kind == KINDS[2] else map(str, count())

    def bare_writes() -> None:
        for name in islice(names, each):
            write(bare, content, name)

    ours, theirs = in_turn(context.of(1, 15), lambda: [put() for _ in range(each)], bare_writes)
    return figure(f"queueing {kind}", "write, fsync, rename, fsync", walls(ours), walls(theirs), goal=at_least(0.8))


def write(folder: Path, content: bytes, name: str) -> None:
    """What no durable queue of files can do without."""
    temporary = folder / "tmp" / name
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(descriptor, content)
    os.fsync(descriptor)
    os.close(descriptor)
    temporary.replace(folder / "new" / name)
    descriptor = os.open(folder / "new", os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def verifying(context: Context, objects: int, size: int) -> Figure:
    """Objects read again, on all cores."""
    home = Home(context.folder)
    paths = b"".join(bytes(path) + b"\0" for path in hold(home, objects, size))
    # `xargs` gives each process so many files, so that its start costs little.
    command = ["xargs", "-0", "-P", str(CORES), "-n", str(max(1, objects // CORES // 4)), "sha256sum"]
    ours, theirs = in_turn(
        context.of(1, 7),
        lambda: verify(home, StoreSettings(), threads=CORES),
        lambda: subprocess.run(command, input=paths, stdout=subprocess.DEVNULL, check=True),
    )
    work = f"verify, {objects:,} objects of {size:,} bytes"
    return figure(work, f"sha256sum, {CORES} at once", walls(ours), walls(theirs), goal=at_least(0.8))


def hold(home: Home, objects: int, size: int) -> list[Path]:
    """So many objects of so many random bytes."""
    paths = []
    for _ in range(objects):
        content = os.urandom(size)
        digest = hashlib.sha256(content).hexdigest()
        path = home.objects / digest[:2] / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        paths.append(path)
    return sorted(paths)
