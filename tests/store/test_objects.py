"""Objects: whole or not there, held once, resumed only onto their own bytes."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from pathlib import Path

import pytest

from mirror import durable
from mirror.errors import HomeUnusable, StoreError
from mirror.layout import Home
from mirror.store.objects import objects as objects_module
from mirror.store.objects.objects import Adopted, Objects
from mirror.store.objects.partials import Mismatch, Partial, PartialKey
from tests.cli.warm import run_script

CONTENT = b"some bytes" * 1000
MD5 = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()


def key(name: str = "model.pt", *, md5: str | None = MD5, size: int | None = None) -> PartialKey:
    """A download of this run's."""
    return PartialKey(entity="e", project="p", run_id="r", kind="file", name=name, size=size, md5=md5)


def read(objects: Objects, digest: str) -> bytes:
    """An object's bytes."""
    with objects.open(digest) as file:
        return file.read()


def files_below(folder: Path) -> list[str]:
    """Names of all files, without their folders."""
    return sorted(Path(name).name for name in durable.file_names(folder))


def test_equal_bytes_are_held_once_and_read_only(home: Home) -> None:
    objects = Objects(home)
    digest = objects.put_bytes(b"x")
    assert objects.put_bytes(b"x") == digest == hashlib.sha256(b"x").hexdigest()
    assert objects.sync([digest]) == 1
    assert objects.sync([digest]) == 0
    assert objects.put_bytes(b"x") == digest
    assert files_below(home.root) == [digest]
    assert objects.path(digest) == home.objects / digest[:2] / digest
    assert objects.path(digest).stat().st_mode & 0o777 == 0o400
    assert read(objects, digest) == b"x"
    assert objects.size(digest) == 1


def test_a_staged_object_is_seen_by_its_writer_alone(home: Home) -> None:
    objects = Objects(home)
    digest = objects.put_bytes(b"x")
    assert objects.has(digest)
    assert read(objects, digest) == b"x"
    assert not Objects(home).has(digest)
    with pytest.raises(StoreError):
        Objects(home).sync([digest])


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_only_a_digest_becomes_a_path(home: Home, name: str) -> None:
    with pytest.raises(StoreError):
        Objects(home).path(name)


def test_a_torn_object_that_was_never_synced_is_removed_and_a_whole_one_is_kept(home: Home) -> None:
    before = Objects(home)
    torn, whole = before.put_bytes(b"torn" * 100), before.put_bytes(b"whole")
    (home.staged / torn).chmod(0o644)
    (home.staged / torn).write_bytes(b"torn\0\0\0")  # what a power cut may leave
    (home.staged / "stray").write_bytes(b"")
    after = Objects(home)
    assert after.recover() == 1
    assert (after.has(torn), after.has(whole)) == (False, True)
    after.sync([whole])
    assert files_below(home.root) == [whole]


@pytest.mark.parametrize("count", [1, durable.MANY * 3])
def test_bytes_are_on_the_disk_before_they_get_their_name(
    home: Home, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    objects = Objects(home)
    digests = [objects.put_bytes(f"{number}".encode()) for number in range(count)]
    seen: list[tuple[set[str], set[str], int]] = []
    real = durable.sync_files

    def note(files: list[Path], folder: Path) -> None:
        named = {digest for digest in digests if (home.objects / digest[:2] / digest).exists()}
        real(files, folder)
        seen.append(({path.name for path in files}, named, len(files)))

    monkeypatch.setattr(objects_module, "sync_files", note)
    objects.sync(digests)
    (staged, named_before, _), (final, named_then, _) = seen
    assert staged == set(digests)
    assert named_before == set()
    assert final == named_then == set(digests)


@pytest.mark.parametrize("with_syncfs", [True, False])
def test_a_flush_that_fails_leaves_no_object_under_its_name(
    home: Home, monkeypatch: pytest.MonkeyPatch, with_syncfs: bool
) -> None:
    objects = Objects(home)
    digests = [objects.put_bytes(f"{number}".encode()) for number in range(durable.MANY)]

    def broken(argument: object) -> bool:
        raise OSError(28, "No space left on device")

    if with_syncfs:
        monkeypatch.setattr(durable, "_sync_file_system", broken)
    else:
        monkeypatch.setattr(durable, "_sync_file_system", lambda folder: False)
        monkeypatch.setattr(durable, "sync_file", broken)
    with pytest.raises(HomeUnusable):
        objects.sync(digests)
    monkeypatch.undo()
    assert not Objects(home).has(digests[0])
    assert objects.sync(digests) == len(digests)


def test_without_syncfs_every_file_and_every_folder_is_flushed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = Objects(home)
    digests = [objects.put_bytes(f"{number}".encode()) for number in range(durable.MANY)]
    flushed: list[str] = []
    monkeypatch.setattr(durable, "_sync_file_system", lambda folder: False)
    monkeypatch.setattr(durable, "sync_file", lambda path: flushed.append(os.fspath(path)))
    monkeypatch.setattr(durable, "sync_folder", lambda path: flushed.append(os.fspath(path)))
    objects.sync(digests)
    for digest in digests:
        final = home.objects / digest[:2] / digest
        assert {os.fspath(home.staged / digest), os.fspath(final), os.fspath(final.parent)} <= set(flushed)
    assert os.fspath(home.objects) in flushed


def test_threads_that_hold_the_same_bytes_agree(home: Home) -> None:
    objects = Objects(home)
    found: list[str] = []

    def hold() -> None:
        for number in range(20):
            found.append(objects.put_bytes(f"{number}".encode()))
            objects.sync(found[-1:])

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert files_below(home.root) == sorted(set(found))


@pytest.mark.parametrize("md5", [MD5, None, "not an md5", hashlib.md5(CONTENT).hexdigest()])
def test_a_download_goes_on_where_it_stopped(home: Home, md5: str | None) -> None:
    with Partial(Objects(home), key(md5=md5)) as partial:
        partial.write(CONTENT[:4000])
    objects = Objects(home)
    with Partial(objects, key(md5=md5)) as partial:
        assert partial.offset == 4000
        partial.write(CONTENT[4000:])
        adopted = partial.finish(len(CONTENT))
    assert adopted == Adopted(
        digest=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
        md5_checked=md5 not in (None, "not an md5"),
    )
    assert read(objects, hashlib.sha256(CONTENT).hexdigest()) == CONTENT
    assert files_below(home.partial) == []


def test_too_few_bytes_are_kept_and_wrong_ones_are_not(home: Home) -> None:
    objects = Objects(home)
    with Partial(objects, key()) as partial:
        partial.write(CONTENT[:-1])
        short = partial.finish(len(CONTENT))
    assert isinstance(short, Mismatch)
    assert (short.what, short.resumable) == ("size", True)
    with Partial(objects, key()) as partial:
        assert partial.offset == len(CONTENT) - 1
        partial.write(b"?")
        wrong = partial.finish(len(CONTENT))
    assert isinstance(wrong, Mismatch)
    assert (wrong.what, wrong.resumable, wrong.expected) == ("md5", False, MD5)
    with Partial(objects, key()) as partial:
        assert partial.offset == 0
        partial.write(CONTENT + b"more")
        assert str(partial.finish(len(CONTENT))) == "size is 10004, the server said 10000"
    assert files_below(home.root) == []


def test_a_file_that_changed_upstream_never_goes_on_from_old_bytes(home: Home) -> None:
    objects = Objects(home)
    with Partial(objects, key(size=5)) as partial:
        partial.write(b"old")
    for changed in (key(size=6), key(size=5, md5=None), key("other"), key("\ud800", size=5)):
        with Partial(objects, changed) as partial:
            assert partial.offset == 0
            partial.discard()
    with Partial(objects, key(size=5)) as partial:
        assert partial.offset == 3
        partial.restart()
        assert partial.offset == 0
        partial.write(CONTENT)
        assert isinstance(partial.finish(), Adopted)


def test_a_full_disk_stops_a_download_and_keeps_what_was_written(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = Objects(home)
    with Partial(objects, key()) as partial:
        partial.write(b"kept")

        class Full:
            def write(self, view: memoryview) -> int:
                raise OSError(28, "No space left on device")

            def close(self) -> None:
                pass

        monkeypatch.setattr(partial, "_file", Full())
        with pytest.raises(HomeUnusable):
            partial.write(b"lost")
        monkeypatch.undo()
        assert partial.offset == 4


KILLED = """
import os, signal, sys
from pathlib import Path
from mirror.layout import Home
from mirror.store.objects.objects import Objects
home, step = Home(Path(sys.argv[1])), int(sys.argv[2])
seen = 0
def count(name):
    real = getattr(Path, name)
    def wrapped(self, *arguments, **options):
        global seen
        seen += 1
        if seen == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, *arguments, **options)
    setattr(Path, name, wrapped)
objects = Objects(home)
objects.prepare()
for name in ("write_bytes", "chmod", "replace", "mkdir", "unlink"):
    count(name)
objects.sync([objects.put_bytes(b"one"), objects.put_bytes(b"two")])
print("whole")
"""


def test_a_kill_between_any_two_steps_leaves_no_wrong_object(home: Home) -> None:
    step, finished = 0, False
    while not finished:
        step += 1
        status, said, errors = run_script(KILLED, str(home.root), str(step))
        finished = said == "whole\n"
        assert finished or status == -9, errors
        for name in durable.file_names(home.objects):
            assert hashlib.sha256(Path(name).read_bytes()).hexdigest() == Path(name).name
        objects = Objects(home)
        objects.recover()
        objects.sync([objects.put_bytes(b"one"), objects.put_bytes(b"two")])
        assert files_below(home.root) == sorted(hashlib.sha256(item).hexdigest() for item in (b"one", b"two"))
        for name in durable.file_names(home.objects):
            Path(name).unlink()
    assert step > 6


def test_an_object_that_a_sync_moves_under_a_readers_hands_is_read_all_the_same(tmp_path: Path) -> None:
    objects = Objects(Home(tmp_path))
    objects.prepare()
    whole = objects.home.partial / "whole"
    whole.write_bytes(CONTENT)
    digest = objects.adopt(whole, hashlib.sha256(CONTENT).hexdigest())
    places: list[Path] = []

    def reads_late(path: Path) -> bytes:
        places.append(path)
        if len(places) == 1:
            objects.sync([digest])  # another batch names the same bytes
        return path.read_bytes()

    assert objects.read_with(digest, reads_late) == CONTENT
    assert len(set(places)) == 2


def test_a_reader_that_fails_for_another_reason_is_not_called_twice(tmp_path: Path) -> None:
    objects = Objects(Home(tmp_path))
    objects.prepare()
    digest = objects.put_bytes(CONTENT)
    calls: list[Path] = []

    def fails(path: Path) -> None:
        calls.append(path)
        raise StoreError("damaged")

    with pytest.raises(StoreError, match="damaged"):
        objects.read_with(digest, fails)
    assert len(calls) == 1
