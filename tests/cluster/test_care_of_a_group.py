"""Who holds the lease cares for all: nothing that another machine needs goes, whatever this one has heard of it."""

from __future__ import annotations

import datetime as dt
from functools import partial
from pathlib import Path

import pytest

import mirror as wandb_mirror
from mirror.check.hashing import HashingProgress
from mirror.check.verify import verify
from mirror.clock import utc_now
from mirror.config import RetentionSettings
from mirror.errors import HomeUnusable
from mirror.outbox.group import needed_objects
from mirror.records.operations import UploadFile
from mirror.sandbox import Sandbox
from mirror.store.care.maintenance import Maintenance, maintain
from mirror.store.engine.reader import Reader
from mirror.store.objects.objects import Objects
from mirror.store.objects.uploads import take_in
from mirror.store_settings import StoreSettings
from tests.cluster.group import Leader, Member, members
from tests.cluster.servers import Place
from tests.mirroring import Mirror


def put_upload(member: Member, folder: Path, content: bytes = b"weights") -> str:
    """Queue a file; the digest of its bytes."""
    file = folder / "model.pt"
    file.write_bytes(content)
    taken = take_in(Objects(member.home), file)
    member.put(
        "one",
        UploadFile(name="model.pt", object=taken.object, size=taken.size, md5=taken.md5, mimetype=taken.mimetype),
    )
    return taken.object


def maintain_in_a_month(leader: Leader) -> Maintenance:
    home = leader.lake.home
    now = utc_now() + dt.timedelta(days=30)
    return maintain(leader.lake, RetentionSettings(), needed=partial(needed_objects, home), now=now)


def test_bytes_of_an_upload_that_waits_in_the_group_stay_though_the_leader_never_heard_of_it(
    place: Place, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.state.add_run("team", "proj", "one", state="finished")
    lead, ann, ben = members(place, sandbox, tmp_path, "lead", "ann", "ben")
    Mirror(url=sandbox.url, api_key=sandbox.api_key, home=lead.home, is_fresh=True).pull()
    put_upload(ann, tmp_path)
    ann.share()
    with ben.leading() as leader:  # `maintain` on a machine that exchanged nothing yet
        assert maintain_in_a_month(leader).objects.files == 0
    with lead.leading() as leader:
        leader.share()
        assert leader.replay().applied == 1
    assert sandbox.state.run("team", "proj", "one").files["model.pt"].size == 7


def test_a_prefix_of_a_bucket_is_that_of_one_lake(place: Place, sandbox: Sandbox, tmp_path: Path) -> None:
    """A second one would take the first one's files for rests of killed commits, and remove them."""
    sandbox.state.add_run("team", "proj", "one", state="finished")
    home = place.home(tmp_path / "home")
    mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home, is_fresh=True)
    mirror.pull()
    second = place.servers.place()
    for more in ({"data": place.data}, {"objects": f"{place.data}/objects"}):
        other = Member(home=second.home(tmp_path / "other", **more), sandbox=sandbox)
        with pytest.raises(HomeUnusable, match="holds the files of another lake"), other.leading():
            pass
    apart = Member(home=second.home(tmp_path / "apart", data=f"{place.data}2"), sandbox=sandbox)
    with apart.leading() as leader:
        maintain_in_a_month(leader)
    mirror.pull()
    assert wandb_mirror.Api(home=str(home.root)).run("team/proj/one").state == "finished"


def test_a_reader_of_another_role_is_waited_for(place: Place, sandbox: Sandbox, tmp_path: Path) -> None:
    """PostgreSQL tells an owner who is no superuser nothing of what others do, but for their locks."""
    owner, role = f"{place.name}_owner", f"{place.name}_reader"
    with place.connected() as database:
        database.execute(f"CREATE ROLE {owner} LOGIN")
        database.execute(f"CREATE ROLE {role} LOGIN")
        database.execute(f"ALTER DATABASE {place.name} OWNER TO {owner}")
    catalogs = {name: place.catalog.replace("mirror@", f"{name}@") for name in (owner, role)}
    lead = Member(home=place.home(tmp_path / "lead", catalog=catalogs[owner]), sandbox=sandbox)
    with lead.leading() as leader:
        with place.connected() as database:
            database.execute(f"GRANT USAGE ON SCHEMA main, wandb_mirror TO {role}")
            database.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA main, wandb_mirror TO {role}")
        reader = Reader(place.home(tmp_path / "reader", catalog=catalogs[role]))
        with reader.snapshot() as snapshot:
            snapshot.rows("SELECT count(*) FROM lake.runs")
            with leader.lake.transaction() as engine:
                engine.execute("INSERT INTO lake.meta VALUES ('a', 'b')")
            assert maintain_in_a_month(leader).waits_for_readers
        assert not maintain_in_a_month(leader).waits_for_readers
        reader.close()


class Watched(HashingProgress):
    """Looks at each file that a check reads which transactions of ours PostgreSQL has open."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.transactions: list[int] = []

    def read(self, count: int) -> None:
        """Look."""
        super().read(count)
        with self.place.connected() as database:
            ((found,),) = database.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'wandb-mirror %'"
                " AND datname = current_database() AND xact_start IS NOT NULL"
            ).fetchall()
        self.transactions.append(found)


def test_a_check_keeps_no_transaction_open_while_it_reads_files(group: list[Member], place: Place) -> None:
    objects = Objects(group[0].home)
    objects.sync([objects.put_bytes(b"one")])
    watched = Watched(place)
    assert verify(group[0].home, StoreSettings(), meter=watched).is_sound
    assert len(watched.transactions) > 1
    assert not any(watched.transactions)


def test_files_that_a_reader_needs_stay_until_it_is_done(group: list[Member]) -> None:
    with group[0].leading() as leader:
        for number in range(3):
            with leader.lake.transaction() as engine:
                engine.execute(f"CREATE TABLE lake.some{number} AS FROM range(1000) t(i)")
        with Reader(group[1].home) as reader, reader.snapshot() as snapshot:
            assert snapshot.rows("SELECT sum(i) FROM lake.some0") == [(499500,)]
            for number in range(3):
                with leader.lake.transaction() as engine:
                    engine.execute(f"DROP TABLE lake.some{number}")
            assert maintain_in_a_month(leader).waits_for_readers
            assert snapshot.rows("SELECT sum(i) FROM lake.some1") == [(499500,)]
        done = maintain_in_a_month(leader)
        assert not done.waits_for_readers
        assert done.lake_files.files >= 3
