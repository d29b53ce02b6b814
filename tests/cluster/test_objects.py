"""Objects of a shared lake: in the bucket before a commit names them, hashed when they come, kept within a bound."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from mirror.durable import file_names
from mirror.errors import HomeUnusable, LakeAway, StoreError
from mirror.layout import Home
from mirror.store.objects import bucket_objects
from mirror.store.objects.bucket_objects import BucketObjects
from mirror.store.objects.objects import Objects
from tests.cluster.servers import Place

CONTENT = [bytes([number]) * 400_000 for number in range(6)]


def bucket(home: Home) -> BucketObjects:
    shared = Objects(home).shared
    assert shared is not None
    return shared


def connections_to(port: int) -> set[str]:
    """Sockets of this process that lead to a port of loopback, by their inodes."""
    remote = f"0100007F:{port:04X}"
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines())
    leading = {f"socket:[{line[9]}]" for line in lines if line[2] == remote}
    return leading & {str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()}


@pytest.fixture
def digests(home: Home) -> list[str]:
    """Objects that another machine put there."""
    objects = Objects(home)
    found = [objects.put_bytes(content) for content in CONTENT]
    assert objects.sync(found) == len(found)
    return found


def test_what_was_synced_is_in_the_bucket_whole_and_read_anywhere(
    digests: list[str], home: Home, place: Place, tmp_path: Path
) -> None:
    assert {digest for digest, _ in bucket(home).listed()} == set(digests)
    other = Objects(place.home(tmp_path / "other"))
    assert [other.path(digest).read_bytes() for digest in digests] == CONTENT
    assert not file_names(other.home.objects)


def test_bytes_that_are_others_are_never_given_out(
    digests: list[str], home: Home, place: Place, tmp_path: Path
) -> None:
    bucket(home).bucket.put(f"{digests[0][:2]}/{digests[0]}", b"other")
    other = Objects(place.home(tmp_path / "other"))
    with pytest.raises(StoreError, match="other bytes"):
        other.path(digests[0])
    assert not file_names(other.home.cache)
    assert other.path(digests[1]).read_bytes() == CONTENT[1]


def test_the_cache_keeps_what_was_used_last_within_its_bound(
    digests: list[str], place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_objects, "IN_USE_S", -1.0)
    other = Objects(place.home(tmp_path / "other", cache_mb=1))
    for digest, content in zip(digests, CONTENT, strict=True):
        assert other.path(digest).read_bytes() == content
        assert sum(Path(name).stat().st_size for name in file_names(other.home.cache)) <= 1_000_000
    assert {Path(name).name for name in file_names(other.home.cache)} >= {digests[-1]}


def test_what_a_pull_brought_and_nobody_asked_for_is_within_the_bound_at_once(place: Place, tmp_path: Path) -> None:
    writer = Objects(place.home(tmp_path / "writer", cache_mb=1))
    for content in CONTENT:
        writer.sync([writer.put_bytes(content)])
    assert sum(Path(name).stat().st_size for name in file_names(writer.home.cache)) <= 1_000_000


def test_what_is_used_now_is_not_let_go_of(digests: list[str], place: Place, tmp_path: Path) -> None:
    other = Objects(place.home(tmp_path / "other", cache_mb=1))
    paths = [other.path(digest) for digest in digests]
    assert all(path.exists() for path in paths)


def test_what_was_asked_for_stays_asked_for_when_equal_bytes_come(place: Place, tmp_path: Path) -> None:
    objects = Objects(place.home(tmp_path / "home"))
    digest = objects.put_bytes(CONTENT[0])
    objects.sync([digest])
    copy = objects.path(digest)
    again = tmp_path / "again"
    again.write_bytes(CONTENT[0])
    assert objects.shared is not None
    objects.shared.store([(digest, again)])
    assert time.time() - copy.stat().st_mtime < bucket_objects.IN_USE_S / 2


def test_many_threads_that_ask_for_the_same_get_it(digests: list[str], place: Place, tmp_path: Path) -> None:
    other, found = Objects(place.home(tmp_path / "other")), []
    threads = [threading.Thread(target=lambda: found.append(other.path(digests[2]).read_bytes())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT[2]] * 8


def test_a_bucket_that_is_away_is_named_and_what_is_here_is_read(
    digests: list[str], place: Place, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    assert Objects(place.home(folder)).path(digests[0]).read_bytes() == CONTENT[0]
    away = Objects(place.home(folder, s3_endpoint="http://127.0.0.1:1"))
    assert away.path(digests[0]).read_bytes() == CONTENT[0]
    with pytest.raises(LakeAway, match="does not answer"):
        away.path(digests[1])


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux")
def test_a_forked_process_reads_by_connections_of_its_own(digests: list[str], place: Place, tmp_path: Path) -> None:
    """Answers on a connection that two processes read are anybody's."""
    other = bucket(place.home(tmp_path / "other"))
    assert other.sha256(digests[0]) == digests[0]
    before = connections_to(place.servers.s3_port)
    child = os.fork()
    if child == 0:
        right = other.sha256(digests[1]) == digests[1]
        os._exit(0 if right and connections_to(place.servers.s3_port) - before else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_an_upload_that_waits_is_this_machines_alone_until_it_is_handed_over(home: Home) -> None:
    objects = Objects(home)
    file = home.root / "waits"
    content = os.urandom(1000)
    file.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    objects.take(file, digest)
    assert bucket(home).bucket.look(f"{digest[:2]}/{digest}") is None
    assert Objects(home).path(digest).read_bytes() == content


def test_what_the_bucket_refuses_is_an_error_of_ours_for_a_file_as_for_bytes(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(CONTENT[0])
    nowhere = bucket(place.home(tmp_path / "home", data="s3://nowhere/lake")).bucket
    for content in (file, CONTENT[0]):
        with pytest.raises(HomeUnusable, match="there is no bucket nowhere"):
            nowhere.put("name", content)


def test_a_file_goes_up_whole_in_one_request_or_in_parts(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "large"
    file.write_bytes(os.urandom(9 << 20))  # boto3 makes parts of 8 MiB
    for most in (0, 16 << 20):
        monkeypatch.setattr("mirror.cluster.bucket._WHOLE_BYTES", most)
        bucket(home).bucket.put(f"large-{most}", file)
        got = tmp_path / f"got-{most}"
        with got.open("wb") as target:
            assert bucket(home).bucket.get_into(f"large-{most}", target)
        assert got.read_bytes() == file.read_bytes()
