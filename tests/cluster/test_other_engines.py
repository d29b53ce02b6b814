"""Other engines read a shared lake: plain DuckDB as its guide says, with the rights of a reader."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import mirror as wandb_mirror
from mirror.errors import HomeUnusable, QueryError
from mirror.layout import Home
from mirror.sandbox import Sandbox
from mirror.store.engine.connection import extension_file
from mirror.store.parquet.exporting import export_tables
from mirror.store.sql.guard import SqlGuard
from mirror.store.sql.statements import connect, run_sql
from tests.cli.conftest import Cli
from tests.cluster.group import Member
from tests.cluster.servers import KEY_ID, SECRET, Place, Servers
from tests.mirroring import ENGINE, Mirror
from tests.pages.blocks import blocks

TITLE = "in a duckdb shell, for a shared lake"
KEYS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
EXTENSIONS = ("ducklake", "postgres_scanner", "httpfs")


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """A project of one run."""
    with Sandbox.start() as sandbox:
        sandbox.state.add_project("team", "proj")
        sandbox.state.add_run(
            "team", "proj", "one", config={"lr": 0.5}, summary={"loss": 0.25}, history=[{"_step": 0, "loss": 0.25}],
            files={"a.txt": b"text"},
        )  # fmt: skip
        yield sandbox


@pytest.fixture(scope="module")
def group_place(cluster: Servers, server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Its shared lake, with the rights that the guide grants."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in KEYS.items():
            patched.setenv(name, value)
        found = cluster.place()
        home = found.home(tmp_path_factory.mktemp("leader") / "home")
        assert not any(report.failed for report in mirror_of(server, home).pull().projects)
        grant_reading(found)
        yield found


@pytest.fixture
def place(group_place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same, in an environment that has its keys."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return group_place


def mirror_of(server: Sandbox, home: Home) -> Mirror:
    return Mirror(url=server.url, api_key=server.api_key, home=home, is_fresh=True)


def grant_reading(place: Place) -> None:
    """What the guide grants a reader."""
    (block,) = [block for block in blocks("docs/guides/group-lake.md") if block.title == "in psql, as the writer"]
    with place.connected() as database:
        for role in ("mirror_reader", "mirror_writer"):
            if database.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
                database.execute(f"CREATE ROLE {role} LOGIN".encode())
        database.execute(block.text.encode())


def test_plain_duckdb_reads_it_as_the_guide_says(place: Place) -> None:
    (block,) = [block for block in blocks("docs/guides/duckdb.md") if block.title == TITLE]
    install, _, rest = block.text.partition("\n")
    assert install.startswith("INSTALL ducklake; INSTALL postgres; INSTALL httpfs;")
    for said, meant in {
        "postgresql://reader@db.example.com/mirror": place.catalog.replace("mirror@", "mirror_reader@"),
        "s3://bucket/prefix": place.data,
        "'KEY'": f"'{KEY_ID}'",
        "'SECRET')": f"'{SECRET}', ENDPOINT '127.0.0.1:{place.servers.s3_port}', URL_STYLE 'path', USE_SSL false)",
    }.items():
        assert said in rest
        rest = rest.replace(said, meant)
    with duckdb.connect(config={"allow_unsigned_extensions": "true", "threads": 1}) as plain:
        for name in EXTENSIONS:
            plain.execute(f"LOAD '{extension_file(f'duckdb_extension_{name}')}'")
        assert plain.execute(rest).fetchall() == [("one", "0.5", "0.25")]


def test_who_may_only_read_reads_everything_and_writes_nothing(server: Sandbox, place: Place, tmp_path: Path) -> None:
    home = place.home(tmp_path / "reader", catalog=place.catalog.replace("mirror@", "mirror_reader@"))
    run = wandb_mirror.Api(home=str(home.root)).run("team/proj/one")
    assert (run.config, [file.name for file in run.files()]) == ({"lr": 0.5}, ["a.txt"])
    with pytest.raises(HomeUnusable, match="refuses"):
        mirror_of(server, home).pull()


def test_who_may_queue_hands_over_and_may_not_pull(server: Sandbox, place: Place, tmp_path: Path) -> None:
    home = place.home(tmp_path / "author", catalog=place.catalog.replace("mirror@", "mirror_writer@"))
    ann = Member(home=home, sandbox=server)
    lead = Member(home=place.home(tmp_path / "lead"), sandbox=server)
    ann.note("one", "ann was here")
    assert ann.share().handed_over == 1
    lead.share()
    assert lead.seen() == [("new", "one")]
    with pytest.raises(HomeUnusable, match="refuses"):
        mirror_of(server, home).pull()


def test_sql_reads_the_lake_and_no_other_file(place: Place, tmp_path: Path) -> None:
    home = place.home(tmp_path / "home")
    (tmp_path / "secret.csv").write_text("a")
    with connect(home, settings=ENGINE) as engine:
        guard = SqlGuard(engine, home)
        assert list(run_sql(engine, "SELECT run_id FROM runs", guard=guard).rows()) == [("one",)]
        elsewhere = f"s3://{place.servers.buckets.name}/another.parquet"
        for path in (str(tmp_path / "secret.csv"), "pyproject.toml", elsewhere, "http://127.0.0.1:1/a.csv"):
            with pytest.raises(QueryError):
                run_sql(engine, f"SELECT * FROM '{path}'", guard=guard)


def test_the_setup_of_the_guide_makes_a_lake(cluster: Servers, sandbox: Sandbox, tmp_path: Path) -> None:
    place = cluster.place()
    sandbox.state.add_run("my-team", "my-project", "one")
    (block,) = [block for block in blocks("docs/guides/group-lake.md") if block.title == "on a machine of the group"]
    cli = Cli(folder=tmp_path, env=KEYS).at(sandbox)
    said = {"postgresql://mirror@db.example.com/mirror": place.catalog, "s3://bucket/mirror": place.data}
    for line in block.text.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "wandb-mirror"
        more = ["--s3-endpoint", place.servers.endpoint] if arguments[0] == "init" else []
        cli(*(said.get(word, word) for word in arguments), *more, code=0)
    assert cli("sql", "SELECT run_id FROM runs", "--json", code=0).json == [{"run_id": "one"}]


def test_a_shared_lake_is_exported_as_one_in_a_home_is(place: Place, tmp_path: Path) -> None:
    home = place.home(tmp_path / "home")
    done = export_tables(home, tmp_path / "tables", (), ENGINE)
    with duckdb.connect() as plain:
        rows = plain.execute(f"SELECT run_id, key, value FROM '{tmp_path}/tables/metrics/*.parquet'").fetchall()
    assert rows == [("one", "loss", 0.25)]
    assert done.written == done.files
    assert export_tables(home, tmp_path / "tables", (), ENGINE).written == 0
