"""The gateway, and so the page, of a machine that shares a lake sees what others pull; its changes reach all."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from mirror.sandbox import Sandbox
from mirror.store.sql.statements import connect
from tests.cluster.group import Member
from tests.cluster.servers import KEY_ID, SECRET, Place
from tests.gateway.served import environment, served
from tests.mirroring import Mirror

RUNS = '{ project(name: "proj", entityName: "team") { runs { edges { node { name notes } } } } }'
NOTE = """mutation { upsertBucket(input: {entityName: "team", modelName: "proj", name: "one", notes: "by a script"}) {
  bucket { name } } }"""


def test_it_sees_what_another_machine_pulls_and_hands_over_what_is_asked_of_it(
    sandbox: Sandbox, mirror: Mirror, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.state.add_run("team", "proj", "one", state="finished")
    mirror.pull()
    here = Member(home=place.home(tmp_path / "here"), sandbox=sandbox)
    there = Member(home=mirror.home, sandbox=sandbox)
    keys = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
    monkeypatch.setattr("tests.gateway.served.environment", lambda home: {**environment(home), **keys})
    with served(here.home) as gateway:
        assert names(gateway.ask(RUNS)) == {"one": None}
        sandbox.state.add_run("team", "proj", "two", state="finished")
        mirror.pull()
        assert names(gateway.ask(RUNS)).keys() == {"one", "two"}
        assert "errors" not in gateway.ask(NOTE)
        assert names(gateway.ask(RUNS))["one"] == "by a script"
        here.share()
        there.share()
        assert there.seen() == [("new", "one")]
        with there.leading() as leader:
            leader.share()
            assert leader.replay().applied == 1
        assert sandbox.state.run("team", "proj", "one").notes == "by a script"
        assert names(gateway.ask(RUNS))["one"] == "by a script"


def names(answer: dict[str, object]) -> dict[str, object]:
    """Notes by run."""
    edges = answer["data"]["project"]["runs"]["edges"]  # type: ignore[index]
    return {edge["node"]["name"]: edge["node"]["notes"] or None for edge in edges}


def test_no_sql_tells_the_keys_of_the_bucket(sandbox: Sandbox, mirror: Mirror) -> None:
    """DuckDB takes them from the environment into settings, which whoever opens the page may ask for."""
    sandbox.state.add_run("team", "proj", "one", state="finished")
    mirror.pull()
    engine = connect(mirror.home)
    try:
        for query in ("FROM duckdb_settings()", "FROM duckdb_secrets()", "FROM duckdb_databases()"):
            assert SECRET not in repr(engine.execute(query).fetchall())
        with pytest.raises(duckdb.Error):
            engine.execute("FROM duckdb_secrets(redact => false)")
    finally:
        engine.close()
