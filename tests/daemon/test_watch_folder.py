"""What changes in a watch folder reaches the run, once, whenever the daemon was stopped and whatever lies there."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

import mirror as wandb_mirror
from mirror.daemon.watch_folder.memory import Memory
from mirror.records.addresses import RunPath
from mirror.records.operations import Create, DeleteFile
from mirror.sandbox import Sandbox
from mirror.store.objects import objects as objects_module
from tests.daemon.watching import GROWING_S, STABLE_S, watching
from tests.mirroring import ENTITY, PROJECT, Mirror

RESCAN_S = 30.0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def body(sandbox: Sandbox, run_id: str, name: str) -> bytes:
    record = sandbox.state.run(ENTITY, PROJECT, run_id).files[name]
    return sandbox.state.bucket.get(record.object_key) or b""


def test_a_file_that_stays_as_it_is_is_uploaded_and_reads_at_once(sandbox: Sandbox, mirror: Mirror, data: Path) -> None:
    with watching(sandbox, mirror, data, "r1", prefix="out") as watch:
        watch.write("deep/er/weights.bin", b"w" * 3000)
        watch.write("empty", b"")
        assert watch.look() == STABLE_S
        assert watch.look(STABLE_S - 1) == 1
        assert watch.waiting == []
        watch.look(1)
        assert sorted(watch.waiting) == ["r1/out/deep/er/weights.bin", "r1/out/empty"]
        run = wandb_mirror.Api(home=mirror.home.root).run(f"{ENTITY}/{PROJECT}/r1")
        assert run.file("out/deep/er/weights.bin").size == 3000, "the overlay shows it before it is delivered"
        assert watch.deliver().applied == 2
        assert body(sandbox, "r1", "out/deep/er/weights.bin") == b"w" * 3000
        assert body(sandbox, "r1", "out/empty") == b""
        assert watch.look(STABLE_S) == RESCAN_S
        assert watch.waiting == []
        status = watch.folder.status
        assert (status.queued, status.changing, status.left_out, status.last_error) == (2, 0, 0, None)
        assert status.path == "team/proj/r1"


def test_a_restart_uploads_nothing_again_and_misses_nothing_that_changed_meanwhile(
    sandbox: Sandbox, mirror: Mirror, data: Path
) -> None:
    with watching(sandbox, mirror, data, "r1") as watch:
        kept, changed = watch.write("kept", b"same"), watch.write("changed", b"old!")
        watch.settle()
        watch.deliver()
        times = changed.stat()
        changed.write_bytes(b"new!")
        os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a copy that keeps times
        os.utime(kept)  # touched, and the same
        watch.write("fresh")
        watch.restart()
        assert sorted(watch.settle()) == ["r1/changed", "r1/fresh"]
        (base,) = {upload.base_md5 for _, upload in watch.uploads if upload.name == "changed"}
        assert base is not None, "what the server has is the base"
        assert watch.deliver().applied == 2
        assert body(sandbox, "r1", "changed") == b"new!"


def test_what_was_queued_and_not_remembered_is_not_queued_twice(
    sandbox: Sandbox, mirror: Mirror, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watching(sandbox, mirror, data, "r1") as watch:
        watch.write("a")
        with monkeypatch.context() as power:
            power.setattr(Memory, "save", lambda self: None)  # it failed before the memory was written
            assert watch.settle() == ["r1/a"]
        watch.restart()
        assert watch.settle() == ["r1/a"], "it waits"
        watch.restart()
        for file in mirror.home.watch.iterdir():
            file.write_bytes(b"{ torn")
        watch.deliver()
        watch.restart()
        assert watch.settle() == [], "the mirror has it"
        assert watch.folder.status.changing == 0


def test_what_somebody_changed_upstream_is_not_overwritten_by_a_file_that_is_as_it_was(
    sandbox: Sandbox, mirror: Mirror, data: Path
) -> None:
    with watching(sandbox, mirror, data, "r1") as watch:
        watch.write("a", b"ours")
        watch.settle()
        watch.deliver()
    sandbox.state.add_file(ENTITY, PROJECT, "r1", "a", b"theirs")
    with watching(sandbox, mirror, data, run="r1") as watch:
        assert watch.settle() == []
        watch.write("a", b"ours again")
        assert watch.settle() == ["r1/a"]
        assert watch.deliver().held == 1, "what both sides changed is for a person to settle"


def test_a_file_that_never_rests_is_uploaded_now_and_then(sandbox: Sandbox, mirror: Mirror, data: Path) -> None:
    with watching(sandbox, mirror, data, "r1") as watch:
        log = watch.write("train.log", b"line\n")
        sizes = []
        watch.look()
        for _ in range(int(2.5 * GROWING_S / 5)):
            with log.open("ab") as file:
                file.write(b"line\n")
            watch.look(5.0)
            sizes += [upload.size for _, upload in watch.uploads]
            watch.deliver() if watch.uploads else None
        assert len(sizes) == 2, "every ten minutes, though it changed every five seconds"
        assert body(sandbox, "r1", "train.log") == b"line\n" * (sizes[-1] // 5)
        watch.settle()
        watch.deliver()
        assert body(sandbox, "r1", "train.log") == log.read_bytes()


def test_a_file_that_changes_while_it_is_copied_waits_until_it_rests(
    sandbox: Sandbox, mirror: Mirror, data: Path
) -> None:
    with watching(sandbox, mirror, data, "r1") as watch:
        path = watch.write("checkpoint", b"x" * 100)
        watch.look()

        def grow(read: int) -> None:
            if read:
                path.write_bytes(b"y" * 101)

        watch.passed = grow
        watch.look(STABLE_S)
        assert watch.waiting == []
        watch.passed = lambda _: None
        assert watch.settle() == ["r1/checkpoint"]
        assert watch.uploads[0][1].size == 101


def test_without_a_network_one_upload_of_a_name_waits_however_often_it_changes(
    sandbox: Sandbox, mirror: Mirror, data: Path
) -> None:
    with watching(sandbox, mirror, data, "r1") as watch:
        for number in range(4):
            watch.write("last.ckpt", b"state %d" % number)
            assert watch.settle() == ["r1/last.ckpt"]
        assert watch.folder.status.changing == 1
        watch.deliver()
        assert body(sandbox, "r1", "last.ckpt") == b"state 0"
        assert watch.settle() == ["r1/last.ckpt"]
        assert watch.deliver().applied == 1
        assert body(sandbox, "r1", "last.ckpt") == b"state 3"


def test_each_folder_of_a_folder_of_runs_goes_to_its_run(sandbox: Sandbox, mirror: Mirror, data: Path) -> None:
    with watching(sandbox, mirror, data, "r1", "r2", run="r*") as watch:
        watch.write("r1/model/a")
        watch.write("r2/a")
        watch.write("stray")
        watch.write("other/a")
        assert sorted(watch.settle()) == ["r1/model/a", "r2/a"]
        (said,) = watch.events("files_left_out")
        assert (said["first"], said["reason"]) == ("stray", "it lies in no folder of a run")


def test_files_wait_for_a_run_that_the_mirror_does_not_hold_yet(sandbox: Sandbox, mirror: Mirror, data: Path) -> None:
    with watching(sandbox, mirror, data, "r1", run="*") as watch:
        watch.write("r9/a")
        watch.write("made-here/b")
        watch.outbox.put(RunPath(ENTITY, PROJECT, "made-here"), None, Create(state="running"))
        assert watch.settle() == ["made-here/b"], "a creation that is queued is enough"
        assert watch.folder.lacks_runs
        assert watch.folder.status.left_out_reason == "r9/a: its run is not in this mirror yet"
        watch.look(RESCAN_S)
        assert len(watch.events("files_left_out")) == 1, "said once"
        assert watch.deliver().applied == 2
    with watching(sandbox, mirror, data, "r9", run="*") as watch:
        assert watch.settle() == ["r9/a"]
        assert not watch.folder.lacks_runs


def test_nothing_is_queued_for_a_run_that_was_deleted_upstream(sandbox: Sandbox, mirror: Mirror, data: Path) -> None:
    with watching(sandbox, mirror, data, "r1", "r2"):
        sandbox.state.delete_run(ENTITY, PROJECT, "r1")
    assert not mirror.pull().errors
    mirror.pull(force_walk=True, accept_missing=True)
    with watching(sandbox, mirror, data, run="r1") as watch:
        watch.write("a")
        assert watch.settle() == []
        assert watch.events("files_left_out")[0]["reason"] == "its run was deleted upstream"


def test_a_deletion_that_waits_comes_before_the_next_upload_of_the_name(
    sandbox: Sandbox, mirror: Mirror, data: Path
) -> None:
    with watching(sandbox, mirror, data, "r1") as watch:
        watch.write("a", b"1")
        watch.settle()
        watch.deliver()
        watch.outbox.put(
            RunPath(ENTITY, PROJECT, "r1"), None, DeleteFile(name="a", file_id=None, project_internal_id=None)
        )
        watch.write("a", b"22")
        assert watch.settle() == []
        watch.deliver()
        assert "a" not in sandbox.state.run(ENTITY, PROJECT, "r1").files
        assert watch.settle() == ["r1/a"]
        assert watch.deliver().applied == 1
        assert body(sandbox, "r1", "a") == b"22"


def test_files_that_vanish_stay_upstream_and_are_not_sent_again_when_they_come_back(
    sandbox: Sandbox, mirror: Mirror, data: Path
) -> None:
    with watching(sandbox, mirror, data, "r1") as watch:
        path = watch.write("a", b"1")
        watch.settle()
        watch.deliver()
        path.unlink()
        assert watch.settle() == []
        watch.write("a", b"1")
        assert watch.settle() == []
        assert body(sandbox, "r1", "a") == b"1"


def test_links_pipes_and_odd_names_are_left_alone(sandbox: Sandbox, mirror: Mirror, data: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.mkdir()
    (outside / "key").write_text("secret")
    with watching(sandbox, mirror, data, "r1", ignore=["*.tmp", ".git/*", "cache/", "#*#"]) as watch:
        (data / "link").symlink_to(outside / "key")
        (data / "folder").symlink_to(outside)
        (data / "dangling").symlink_to("nowhere")
        os.mkfifo(data / "pipe")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(data / "socket"))
        for name in ("half.tmp", ".git/config", "sub/.git/hooks/x", "cache/x", "sub/cache/y", "sub/#notes#"):
            watch.write(name)
        watch.write("big", b"x" * 1_000_001)
        watch.write("sub/fine")
        watch.write(os.fsdecode(b"caf\xe9"))
        assert watch.settle() == ["r1/sub/fine"]
        said = {line["reason"]: line["first"] for line in watch.events("files_left_out")}
        assert said == {"larger than file_size_max_mb = 1": "big", "its name is not valid Unicode": "caf\\xe9"}
        assert watch.folder.status.left_out == 2


def test_a_file_that_becomes_a_link_after_the_look_is_not_followed(
    sandbox: Sandbox, mirror: Mirror, data: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "b").write_text("secret")
    with watching(sandbox, mirror, data, "r1") as watch:
        watch.write("a")
        watch.write("sub/b", b"public")
        watch.look()

        def swap(_: int) -> None:  # between the listing and the first file that is opened
            if (data / "a").is_symlink():
                return
            (data / "a").unlink()
            (data / "a").symlink_to(secret / "b")
            (data / "sub").rename(data / "sub2")
            (data / "sub").symlink_to(secret)

        watch.passed = swap
        watch.look(STABLE_S)
        assert watch.waiting == []
        watch.look()
        said = {line["reason"] for line in watch.events("files_left_out")}
        assert len(said) == len(watch.events("files_left_out")) == 2, "each said once"
        assert all(reason.startswith("it cannot be read: ") for reason in said)


def test_a_folder_that_is_not_there_is_said_once_and_looked_for(sandbox: Sandbox, mirror: Mirror, data: Path) -> None:
    data.rmdir()
    with watching(sandbox, mirror, data, "r1") as watch:
        assert 0 < watch.look() < RESCAN_S
        watch.look(5.0)
        assert len(watch.events("watch_failed")) == 1
        assert "No such file" in (watch.folder.status.last_error or "")
        watch.write("a")
        assert watch.settle() == ["r1/a"]
        assert len(watch.events("watch_resumed")) == 1
        assert watch.folder.status.last_error is None


def test_a_full_disk_is_one_alarm_and_is_gone_on_with_later(
    sandbox: Sandbox, mirror: Mirror, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watching(sandbox, mirror, data, "r1") as watch:
        watch.write("a")
        watch.write("b")

        def full(path: Path) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        with monkeypatch.context() as disk:
            disk.setattr(objects_module, "sync_file", full)
            assert watch.settle() == []
            watch.look(RESCAN_S)
        (said,) = watch.events("watch_failed")
        assert said["level"] == "error"
        assert "is full" in said["reason"]
        assert list(mirror.home.partial.iterdir()) == [], "no half copies"
        assert sorted(watch.settle()) == ["r1/a", "r1/b"]
        assert len(watch.events("watch_resumed")) == 1


def test_a_look_that_is_stopped_half_way_goes_on_later(sandbox: Sandbox, mirror: Mirror, data: Path) -> None:
    class StoppedError(Exception):
        pass

    with watching(sandbox, mirror, data, "r1") as watch:
        for number in range(4):
            watch.write(f"f{number}")
        watch.look()

        def stop(read: int) -> None:
            if read and len(watch.waiting) == 2:
                raise StoppedError

        watch.passed = stop
        with pytest.raises(StoppedError):
            watch.look(STABLE_S)
        assert list(mirror.home.partial.iterdir()) == []
        watch.passed = lambda _: None
        watch.restart()
        assert sorted(watch.settle()) == ["r1/f0", "r1/f1", "r1/f2", "r1/f3"]
