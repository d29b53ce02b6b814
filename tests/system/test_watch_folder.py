"""A watch folder as its user sees it: files go in and are upstream a moment later, whatever the daemon goes through."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from mirror.sandbox import Sandbox
from tests.cli.test_json import agrees
from tests.system.service import Service, serving, wait_for

STABLE_S = 0.5


def watch(data: Path, run: str = "r0", **more: object) -> str:
    """The table of a watch."""
    lines = "".join(f"{name} = {value}\n" for name, value in more.items())
    return f"\n[[source.watch]]\nfolder = '{data}'\nrun = '{run}'\nstable_s = {STABLE_S}\n{lines}"


def configure(service: Service, text: str) -> None:
    """Put tables of watches behind the configuration as it was written, below its source."""
    path = service.cli.config
    written = path.read_text(encoding="utf-8").partition("\n[[source.watch]]")[0]
    path.write_text(written.rstrip("\n") + "\n" + text, encoding="utf-8")


def held(sandbox: Sandbox, run_id: str = "r0") -> dict[str, bytes]:
    """The files of a run upstream."""
    files = sandbox.state.run("team", "proj", run_id).files
    return {name: sandbox.state.bucket.get(record.object_key) or b"" for name, record in list(files.items())}


def test_files_go_up_and_survive_reloads_kills_and_outages(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.state.add_run("team", "proj", "r0", state="running")
    data = tmp_path / "data"
    (data / "plots").mkdir(parents=True)
    (data / "first.txt").write_bytes(b"1")
    with serving(tmp_path, sandbox) as service:
        service.wait_event("pull_done")
        configure(service, watch(data))
        service.wait_event("config_reloaded")
        wait_for("the first", lambda: held(sandbox) == {"first.txt": b"1"})
        (data / "plots" / "loss.png").write_bytes(b"png")
        noticed = time.monotonic()
        service.wait_event("file_queued", 2)
        assert time.monotonic() - noticed < 15.0, "a notification, not the rescan of every thirty seconds"
        wait_for("it", lambda: held(sandbox).get("plots/loss.png") == b"png")
        line = service.events("file_queued")[-1]
        assert (line["run"], line["name"], line["bytes"]) == ("team/proj/r0", "plots/loss.png", 3)
        with sandbox.outage():
            (data / "first.txt").write_bytes(b"22")
            service.wait_event("file_queued", 3)
        wait_for("what was queued offline", lambda: held(sandbox)["first.txt"] == b"22")
        wait_for("status", lambda: service.status["watches"][0]["queued"] == 3)
        said = service.cli("status", "--json", code=None).json["daemon"]["watches"][0]
        agrees(said, "watches[] of daemon")
        assert (said["path"], said["last_queued"], said["last_error"]) == ("team/proj/r0", "first.txt", None)
        shown = service.cli("status", code=None).out
        assert f"watch   {data} to team/proj/r0: 3 files queued, the last 'first.txt'" in shown
        assert "watch" in [worker["name"] for worker in service.status["workers"]]
        assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    (data / "plots" / "loss.png").write_bytes(b"new")
    (tmp_path / "mirror" / "mirror.toml").unlink()
    with serving(tmp_path, sandbox) as again:
        again.wait_ready()
        configure(again, watch(data))
        wait_for("what changed meanwhile", lambda: held(sandbox).get("plots/loss.png") == b"new")
        assert [line["name"] for line in again.events("file_queued")] == ["plots/loss.png"], "nothing again"
        configure(again, "")
        again.wait_event("config_reloaded", 2)
        (data / "late").write_bytes(b"3")
        wait_for("no watch", lambda: again.status["watches"] == [])
        time.sleep(3 * STABLE_S)
        assert "late" not in held(sandbox)
        configure(again, watch(again.cli.home / "in"))
        assert "lie in each other" in again.wait_event("config_refused")["reason"]
        assert again.stop() == 0


def test_a_folder_of_runs_may_come_before_its_runs(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.state.add_run("team", "proj", "r0", state="running")
    data = tmp_path / "data"
    with serving(tmp_path, sandbox) as service:
        configure(service, watch(data, run="*"))
        assert "No such file" in service.wait_event("watch_failed")["reason"]
        service.wait_event("pull_done")
        pulls = len(service.events("pull_done"))
        (data / "r1").mkdir(parents=True)
        (data / "r1" / "a").write_bytes(b"1")
        service.wait_event("watch_resumed")
        assert "not in this mirror yet" in service.wait_event("files_left_out")["reason"]
        service.wait_event("pull_done", pulls + 1)  # its source is looked at soon, not when its pace says
        sandbox.state.add_run("team", "proj", "r1", state="running")
        service.process.send_signal(signal.SIGHUP)  # a reload pulls as well
        wait_for("it", lambda: held(sandbox, "r1") == {"a": b"1"})
        assert len(service.events("watch_failed")) == 1
        assert service.stop() == 0


def test_sigterm_while_a_big_file_is_copied_does_not_wait_for_it(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.state.add_run("team", "proj", "r0", state="running")
    data = tmp_path / "data"
    data.mkdir()
    size = 3 << 30
    with (data / "big").open("wb") as file:
        file.truncate(size)  # a hole: it takes no room here, and long to read
    with serving(tmp_path, sandbox) as service:
        service.wait_event("pull_done")
        configure(service, watch(data).replace("\n[[source.watch]]", "file_size_max_mb = 1e6\n[[source.watch]]"))
        partial = service.cli.home / "partial"
        wait_for("the copy", lambda: partial.exists() and any(partial.glob("upload-*")))
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 20.0
        assert service.events("file_queued") == []
        assert not any(partial.glob("upload-*")), "no half copy is left"


def test_a_daemon_that_is_killed_while_it_queues_loses_no_file_and_sends_none_twice(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.state.add_run("team", "proj", "r0", state="running")
    data = tmp_path / "data"
    data.mkdir()
    wanted: dict[str, bytes] = {}
    for already in (1, 5):
        come = {f"f{already}-{number:02}": b"%d" % number * 500_000 for number in range(15)}
        for name, content in come.items():
            (data / name).write_bytes(content)
        wanted |= come
        with serving(tmp_path, sandbox) as service:
            configure(service, watch(data))
            wait_for("some are queued", lambda: len(service.events("file_queued")) >= already)  # noqa: B023 -- at once
            assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    with serving(tmp_path, sandbox) as last:
        configure(last, watch(data))
        wait_for("all", lambda: held(sandbox) == wanted)
        wait_for("the outbox is empty", lambda: last.status["waiting"] == 0)
        assert last.stop() == 0
        query = "SELECT count(*) AS n, count(DISTINCT operation) AS d FROM receipts WHERE kind = 'upload_file'"
        assert last.cli("sql", query, "--json", code=0).json == [{"n": len(wanted), "d": len(wanted)}]
