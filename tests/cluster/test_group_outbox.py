"""What several people queue on several machines is seen by all, and delivered once, in order, by who has the lease."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

import mirror as wandb_mirror
from mirror.cluster import outbox_rows, schema
from mirror.cluster.outbox_rows import OutboxRows
from mirror.cluster.place import place_of
from mirror.errors import LakeAway, LeaseLost
from mirror.locks import locked
from mirror.outbox.names import name_of
from mirror.records.operations import UploadFile
from mirror.sandbox import Sandbox
from mirror.sharing import share_with_reader
from mirror.store.care.objects import remove_objects
from mirror.store.objects.objects import Objects
from mirror.store.objects.uploads import take_in
from tests.cluster.group import Member, members
from tests.cluster.servers import Place


def notes(sandbox: Sandbox, run_id: str) -> str | None:
    return sandbox.state.run("team", "proj", run_id).notes


def test_what_one_queues_all_see_and_the_leader_delivers_once(group: list[Member], sandbox: Sandbox) -> None:
    lead, ann, ben = group
    entry = ann.note("one", "ann was here")
    assert ben.seen() == []
    assert ann.share().handed_over == 1
    ben.share()
    assert ben.seen() == [("new", "one")]
    assert ben.outbox.get(entry.id).entry.author == ann.outbox.get(entry.id).entry.author is not None
    assert wandb_mirror.Api(home=str(ben.home.root)).run("team/proj/one").notes == "ann was here"
    with lead.leading() as leader:
        leader.share()
        assert leader.replay().applied == 1
        leader.share()
        assert leader.replay().applied == 0
    assert notes(sandbox, "one") == "ann was here"
    for member in (ann, ben):
        member.share()
        assert member.seen() == []
        assert wandb_mirror.Api(home=str(member.home.root)).run("team/proj/one").notes == "ann was here"


def test_bytes_of_an_upload_reach_the_leader_by_the_bucket(
    group: list[Member], sandbox: Sandbox, tmp_path: Path
) -> None:
    lead, ann, _ = group
    file = tmp_path / "model.pt"
    file.write_bytes(b"weights" * 1000)
    taken = take_in(Objects(ann.home), file)
    upload = UploadFile(name="model.pt", object=taken.object, size=taken.size, md5=taken.md5, mimetype=taken.mimetype)
    ann.put("one", upload)
    ann.share()
    with lead.leading() as leader:
        leader.share()
        assert leader.replay().applied == 1
    sent = sandbox.state.run("team", "proj", "one").files["model.pt"]
    assert sent.size == 7000


def test_what_uploads_need_is_told_in_pages(group: list[Member], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_rows, "PAGE", 2)
    digests = {f"{number:064x}" for number in range(5)}
    for digest in digests:
        group[1].put("one", UploadFile(name=digest, object=digest, size=1, md5="0" * 32))
    group[1].share()
    assert set(group[0].outbox.rows.needed_objects()) == digests


def test_an_edit_after_the_handing_over_is_an_operation_of_its_own(group: list[Member], sandbox: Sandbox) -> None:
    lead, ann, _ = group
    ann.note("one", "first")
    ann.share()
    ann.note("one", "second", before="first")
    assert ann.seen() == [("new", "one")] * 2
    ann.share()
    with lead.leading() as leader:
        leader.share()
        assert leader.replay().applied == 2
    assert notes(sandbox, "one") == "second"


def test_an_edit_after_a_hand_over_whose_answer_was_lost_is_an_operation_of_its_own(
    group: list[Member], sandbox: Sandbox
) -> None:
    lead, ann, _ = group
    ann.note("one", "first")
    outbox = ann.outbox
    hand_over = outbox.rows.handing_over

    @contextlib.contextmanager
    def lost() -> Iterator[outbox_rows.HandOver]:
        with hand_over() as handing:
            yield handing
        raise LakeAway("the answer was lost")

    outbox.rows.handing_over = lost  # type: ignore[method-assign]
    with pytest.raises(LakeAway):
        share_with_reader(outbox)
    ann.note("one", "second", before="first")
    ann.share()
    with lead.leading() as leader:
        leader.share()
        assert leader.replay().applied == 2
    assert notes(sandbox, "one") == "second"


def test_a_leader_that_dies_after_the_delivery_leaves_nothing_to_deliver_twice(
    group: list[Member], sandbox: Sandbox
) -> None:
    """The receipt is in the lake, the row is still there, and another machine takes over."""
    lead, ann, ben = group
    ann.note("one", "once")
    ann.share()
    with lead.leading() as leader:
        leader.share()
        leader.outbox.rows.leave = lambda ids: None  # type: ignore[method-assign]  # killed just before
        assert leader.replay().applied == 1
    sandbox.state.run("team", "proj", "one").notes = "changed since"
    with ben.leading() as leader:
        leader.share()
        report = leader.replay()
        assert (report.applied, report.held, report.already_so) == (0, 0, 0)
        leader.share()
    assert notes(sandbox, "one") == "changed since"
    ann.share()
    assert ann.seen() == ben.seen() == []


def test_a_leader_that_dies_before_the_group_is_told_takes_what_the_group_says_next_time(
    group: list[Member], sandbox: Sandbox
) -> None:
    lead, ann, _ = group
    ann.note("one", "mine")
    ann.share()
    sandbox.state.run("team", "proj", "one").notes = "theirs"
    with lead.leading() as leader:
        leader.outbox.rows.update = lambda entry, state: None  # type: ignore[method-assign]  # killed just before
        assert leader.replay().held == 1
    assert lead.seen() == [("conflict", "one")]
    sandbox.state.run("team", "proj", "one").notes = ""
    with lead.leading() as leader:
        assert leader.replay().applied == 1
    assert notes(sandbox, "one") == "mine"


def test_a_home_that_was_away_for_longer_than_the_group_remembers_asks_the_receipts(
    group: list[Member], place: Place
) -> None:
    lead, ann, _ = group
    ann.note("one", "mine")
    ann.share()
    with lead.leading() as leader:
        assert leader.replay().applied == 1
    with place.connected() as database:
        database.execute("DELETE FROM wandb_mirror.outbox WHERE state = 'gone'")
    done = ann.share()
    assert (done.handed_over, done.left, ann.seen()) == (0, 1, [])


def test_what_is_in_conflict_is_settled_from_any_machine(group: list[Member], sandbox: Sandbox) -> None:
    lead, ann, ben = group
    entry = ann.note("one", "mine")
    ann.share()
    sandbox.state.run("team", "proj", "one").notes = "theirs"
    with lead.leading() as leader:
        leader.share()
        assert leader.replay().held == 1
        ben.share()
        assert ben.seen() == [("conflict", "one")]
        ben.outbox.resolve(ben.outbox.get(entry.id).entry, "ours")
        assert leader.fulfil() == 1
        assert leader.replay().applied == 1
    assert notes(sandbox, "one") == "mine"


def test_what_one_gives_up_nobody_delivers(group: list[Member], sandbox: Sandbox) -> None:
    lead, ann, ben = group
    entry = ann.note("one", "never")
    ann.share()
    ben.share()
    assert ben.outbox.give_up(ben.outbox.get(entry.id).entry)
    with lead.leading() as leader:
        leader.share()
        assert leader.fulfil() == 1
        assert leader.replay().applied == 0
    ann.share()
    assert ann.seen() == []
    assert not notes(sandbox, "one")


def test_a_machine_without_the_database_queues_and_shows_its_own_and_hands_it_over_later(
    group: list[Member], place: Place, sandbox: Sandbox
) -> None:
    _, ann, ben = group
    settings = ann.home.config.read_text()
    ann.home.config.write_text(settings.replace(f":{place.servers.port}/", ":1/"))
    entry = ann.note("one", "from a train")
    assert ann.seen() == [("new", "one")]
    with pytest.raises(wandb_mirror.StoreError, match="does not answer"):
        ann.share()
    ann.home.config.write_text(settings)
    ann.share()
    ben.share()
    assert ben.outbox.get(entry.id).entry.operation == entry.operation
    assert (ann.home.outbox / "new" / name_of(entry.id, entry.run_path)).exists()


def test_of_a_database_that_was_set_back_and_went_on_nothing_is_missed(
    group: list[Member], place: Place, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Its numbers come again, for other changes."""
    _, ann, ben = group
    place.servers.copy(place.name, f"{place.name}_then")
    for run_id in ("one", "two"):
        ben.note(run_id, "of ben")
        ben.share()
    ann.share()
    with place.servers.connected("postgres") as database:
        database.execute(f"DROP DATABASE {place.name} WITH (FORCE)")
    place.servers.copy(f"{place.name}_then", place.name)
    (dan,) = members(place, sandbox, tmp_path, "dan")
    queued = []
    for text in ("a", "b", "c"):
        queued.append(dan.note("one", text).id)
        dan.share()
    ann.share()
    assert set(queued) <= {entry.id for _, entry in ann.outbox.entries()}


def test_who_may_not_ask_for_a_timeline_still_knows_one_database_from_another(place: Place, tmp_path: Path) -> None:
    catalog = place.catalog.replace("mirror@", f"joe_{place.name}@")
    settings = place_of(place.home(tmp_path / "home", catalog=catalog))
    assert settings is not None
    with place.connected() as database:
        schema.make_tables(database)
        database.execute(f"CREATE ROLE joe_{place.name} LOGIN")
        database.execute(f"GRANT USAGE ON SCHEMA wandb_mirror TO joe_{place.name}")
        ((number,),) = database.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchall()
        ((system,),) = database.execute("SELECT system_identifier FROM pg_control_system()").fetchall()
        whole = OutboxRows(settings).incarnation()
        database.execute("REVOKE EXECUTE ON FUNCTION pg_control_checkpoint() FROM PUBLIC")
    assert (OutboxRows(settings).incarnation(), whole) == (f"{number}", f"{number} {system} 1")


def test_a_bucket_that_is_away_costs_no_upload(
    group: list[Member], place: Place, sandbox: Sandbox, tmp_path: Path
) -> None:
    """That bytes cannot be looked at does not mean that they are gone."""
    lead, ann, _ = group
    file = tmp_path / "model.pt"
    file.write_bytes(b"weights")
    taken = take_in(Objects(ann.home), file)
    upload = UploadFile(name="model.pt", object=taken.object, size=taken.size, md5=taken.md5, mimetype=taken.mimetype)
    ann.put("one", upload)
    ann.share()
    with lead.leading() as leader:
        leader.share()
        settings = lead.home.config.read_text()
        lead.home.config.write_text(settings.replace(place.servers.endpoint, "http://127.0.0.1:1"))
        report = leader.replay()
        assert (report.buried, report.put_back) == (0, 1)
        assert report.outage is not None
        (placed,) = leader.outbox.entries()
        assert (placed.state, placed.entry.attempts) == ("new", 0)
        lead.home.config.write_text(settings)
        assert leader.replay().applied == 1


def test_who_stands_still_while_it_hands_over_stops_nobody_else(
    group: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    lead, ann, ben = group
    monkeypatch.setattr(outbox_rows, "STILL_S", 0.3)
    monkeypatch.setattr(outbox_rows, "PATIENCE_S", 0.0)
    objects = Objects(lead.home)
    stray = objects.put_bytes(b"nobody's")
    objects.sync([stray])
    ann.note("one", "of ann")
    ben.note("two", "of ben")
    with pytest.raises(LakeAway):
        _stand_still(ann, lead, ben, stray)
    assert ann.share().handed_over == 1
    assert collected(lead, stray) == 1


def _stand_still(ann: Member, lead: Member, ben: Member, stray: str) -> None:
    (placed,) = ann.outbox.entries()
    signed = ann.outbox.sign(placed.entry, "ann@here")
    assert signed is not None
    with ann.outbox.rows.handing_over() as handing:
        assert collected(lead, stray) == 0  # bytes are on their way, for as long as they take
        handing.add([("new", signed)])
        assert ben.share().handed_over == 1  # the number that is taken is not waited for


def collected(lead: Member, digest: str) -> int:
    """How many objects the leader removes of one that nobody needs."""
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    with lead.leading() as leader:
        return remove_objects(lead.home, [digest], later, leader.lake.storage.option).files


def test_a_leader_that_lost_the_lease_says_nothing_more_of_what_waits(group: list[Member], place: Place) -> None:
    """What it knew is old: another one may have decided since."""
    lead, ann, _ = group
    entry = ann.note("one", "first")
    ann.share()
    with lead.leading() as leader:
        leader.share()
        claimed = leader.outbox.claim(leader.outbox.get(entry.id).entry)
        assert claimed is not None
        with place.connected() as database:
            database.execute("UPDATE wandb_mirror.lease SET token = token + 1")
        with pytest.raises(LeaseLost):
            leader.outbox.mark_sent(claimed)
        with pytest.raises(LeaseLost):
            leader.outbox.hold(claimed, "theirs")
        with pytest.raises(LeaseLost):
            leader.outbox.rows.leave([entry.id])
    assert ann.outbox.rows.states([entry.id]) == {entry.id: "new"}


def test_who_only_reads_does_not_wait_for_who_hands_over(group: list[Member]) -> None:
    """Whose bytes may take an hour."""
    _, ann, _ = group
    ann.note("one", "mine")
    with locked(ann.home.sharing_lock):
        assert wandb_mirror.Api(home=str(ann.home.root)).run("team/proj/one").notes == "mine"
