"""What `verify` says to type is true: after `repair` and a pull the bytes are right again."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from mirror.check.repair import Plan, plan_repair, repair
from mirror.layout import Home
from mirror.outbox.reading import OutboxReader
from mirror.sandbox import Sandbox
from mirror.store.engine.lake import Lake
from tests.check.homes import look, queue
from tests.mirroring import ENGINE, ENTITY, PROJECT, SOURCE, Mirror
from tests.pull.contents import history, mirror_of
from tests.replaying import Sender
from tests.store.maintained import deployment

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)


def held(sandbox: Sandbox, home: Home) -> Mirror:
    """A run with a file, a history and an artifact, and one that will be gone."""
    sandbox.state.add_run(ENTITY, PROJECT, "r", history=history(0, 9), files={"model.pt": b"weights"})
    sandbox.state.add_artifact(ENTITY, PROJECT, "set", files={"a.txt": b"an artifact"}, run="r")
    sandbox.state.add_run(ENTITY, PROJECT, "old", files={"old.pt": b"old weights"})
    mirror = mirror_of(sandbox, home, PROJECT)
    assert not mirror.pull().errors
    return mirror


def spoil(home: Home, *, but: bytes = b"\0") -> dict[str, bytes]:
    """Flip a bit of every object; their right bytes by name."""
    before = {}
    for path in [path for path in home.objects.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        if content != but:
            before[path.name] = content
            path.chmod(0o644)
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    return before


def mend(mirror: Mirror) -> Plan:
    """One repair."""
    with Lake(mirror.home, deployment=deployment(mirror), settings=ENGINE) as lake:
        report = look(mirror.home)
        with lake.reading() as engine:
            plan = plan_repair(engine, report, OutboxReader(mirror.home).needed_objects())
        repair(lake, plan, NOW)
    return plan


def held_bytes(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.objects.rglob("*") if path.is_file()}


def test_files_histories_and_artifacts_come_back_with_the_next_pull(sandbox: Sandbox, home: Home) -> None:
    mirror = held(sandbox, home)
    rows = mirror.ask("SELECT * EXCLUDE (synced_at) FROM files ORDER BY ALL")
    metrics = mirror.ask("SELECT * FROM metrics ORDER BY ALL")
    right = spoil(home)
    report = look(home)
    assert {finding.kind for finding in report.findings} == {"object_damaged"}
    assert {finding.hint for finding in report.findings} == {"`wandb-mirror repair`, then `wandb-mirror pull`"}
    assert len(report.findings) == len(right)
    plan = mend(mirror)
    assert (sorted(plan.aside), plan.left) == (sorted(right), [])
    assert {path.name for path in (home.damaged / "2026-11-24").iterdir()} == set(right)
    report_of_pull = mirror.pull()
    assert not report_of_pull.errors
    assert look(home).is_sound, look(home).findings
    assert {name: content for name, content in held_bytes(home).items() if name in right} == right
    assert mirror.ask("SELECT * EXCLUDE (synced_at) FROM files ORDER BY ALL") == rows
    assert mirror.ask("SELECT * FROM metrics ORDER BY ALL") == metrics
    assert mirror.ask("SELECT * FROM failures") == []


def test_what_is_missing_comes_back_too(sandbox: Sandbox, home: Home) -> None:
    mirror = held(sandbox, home)
    right = held_bytes(home)
    for name in right:
        (home.objects / name[:2] / name).unlink()
    plan = mend(mirror)
    assert (sorted(plan.missing), plan.aside, plan.left) == (sorted(right), [], [])
    assert not mirror.pull().errors
    assert look(home).is_sound, look(home).findings


def test_what_w_and_b_no_longer_has_stays_as_it_is_and_that_is_said(sandbox: Sandbox, home: Home) -> None:
    mirror = held(sandbox, home)
    sandbox.state.delete_run(ENTITY, PROJECT, "old")
    assert not mirror.pull(force_walk=True).errors
    assert mirror.run_ids("gone_at IS NOT NULL") == ["old"]
    (path,) = [path for path in home.objects.rglob("*") if path.is_file() and path.read_bytes() == b"old weights"]
    path.chmod(0o644)
    path.write_bytes(b"old weightz")
    plan = mend(mirror)
    (finding,) = plan.left
    assert (plan.aside, path.read_bytes()) == ([], b"old weightz")
    assert finding.lost == f"the bytes of {SOURCE}/old: old.pt, which W&B no longer has"
    assert "backup" in finding.hint


def test_bytes_that_wait_to_be_uploaded_are_left_to_the_person_who_queued_them(
    sandbox: Sandbox, home: Home, tmp_path: Path
) -> None:
    sandbox.state.add_run(ENTITY, PROJECT, "r000", history=[])
    mirror = mirror_of(sandbox, home, PROJECT)
    mirror.pull()
    queue(home, tmp_path)
    spoil(home)
    plan = mend(mirror)
    (finding,) = plan.left
    assert (plan.aside, finding.kind) == ([], "object_damaged")
    assert "the upload of report.md" in finding.lost
    assert "outbox drop" in finding.hint


def test_a_repair_that_was_killed_halfway_is_gone_on_with(sandbox: Sandbox, home: Home) -> None:
    mirror = held(sandbox, home)
    spoil(home)
    (path,) = [path for path in home.objects.rglob("*") if path.is_file() and path.read_bytes() == b"veights"]
    path.unlink()  # moved away, and nothing was committed
    mend(mirror)
    assert not mirror.pull().errors
    assert look(home).is_sound


def test_bytes_that_are_held_and_wait_to_be_uploaded_come_back_for_both(sandbox: Sandbox, home: Home) -> None:
    mirror = held(sandbox, home)
    sender = Sender(url=mirror.url, api_key=mirror.api_key, home=home)
    entry = sender.put("old", sender.upload("copy.pt", b"weights"))
    right = spoil(home)
    hints = {finding.hint for finding in look(home).findings if entry.id in finding.wrong}
    assert hints == {"`wandb-mirror repair`, then `wandb-mirror pull`: the same bytes are mirrored"}
    assert sender.replay().buried == 1
    assert "damaged in this mirror; nothing was sent" in (sender.outbox.get(entry.id).entry.reason or "")
    plan = mend(mirror)
    assert (sorted(plan.aside), plan.left) == (sorted(right), [])
    (missing,) = (finding.hint for finding in look(home).findings if entry.id in finding.wrong)
    assert missing.startswith("`wandb-mirror pull`, if `repair` moved it away")
    assert not mirror.pull().errors
    assert look(home).is_sound, look(home).findings
    sender.outbox.retry(sender.outbox.get(entry.id).entry)
    assert sender.replay().applied == 1
    stored = sandbox.state.run(ENTITY, PROJECT, "old").files["copy.pt"]
    assert sandbox.state.bucket.get(stored.object_key) == b"weights"


def test_bytes_that_w_and_b_no_longer_has_and_that_wait_to_be_uploaded_are_told_as_both(
    sandbox: Sandbox, home: Home
) -> None:
    mirror = held(sandbox, home)
    sender = Sender(url=mirror.url, api_key=mirror.api_key, home=home)
    sandbox.state.delete_run(ENTITY, PROJECT, "old")
    assert not mirror.pull(force_walk=True).errors
    entry = sender.put("r", sender.upload("copy.pt", b"old weights"))
    spoil(home)
    plan = mend(mirror)
    assert len(plan.left) == 2
    assert not any("wandb-mirror repair" in finding.hint for finding in plan.left)
    assert any(f"outbox drop {entry.id}" in finding.hint for finding in plan.left)


def test_bytes_that_only_an_entry_set_aside_needs_are_not_said_to_be_repaired(sandbox: Sandbox, home: Home) -> None:
    mirror = held(sandbox, home)
    sender = Sender(url=mirror.url, api_key=mirror.api_key, home=home)
    upload = sender.upload("copy.pt", b"bytes of its own")
    sender.put("r", upload)
    (path,) = (home.outbox / "new").iterdir()
    path.write_bytes(path.read_bytes()[:-9])  # torn
    assert not list(sender.outbox.entries("new"))
    spoil(home)
    plan = mend(mirror)
    (finding,) = (one for one in plan.left if one.kind == "object_damaged")
    assert upload.object in finding.path
    assert finding.hint.startswith("restore objects/")
    assert "outbox/aside" in finding.hint
