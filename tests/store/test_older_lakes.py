"""A lake that an older version wrote answers what it can, before the next pull brings it up to date."""

from __future__ import annotations

import pytest

from mirror.layout import Home
from mirror.records.passes import Changes, SourceState
from mirror.store.engine.lake import Lake
from mirror.store.engine.reader import Reader
from mirror.store.read.projects import last_pass
from mirror.store.read.receipts import endings_of, given_up_creations
from mirror.store.write.writer import commit
from tests.store.test_contents import AT, KEY


@pytest.fixture
def older(home: Home) -> Reader:
    """Of schema version 2, which had no receipts and knew less of sources."""
    with Lake(home, deployment="d") as lake:
        commit(lake, Changes(key=KEY, at=AT, source=SourceState(last_pass_at=AT)))
        with lake.transaction() as engine:
            engine.execute("DROP TABLE lake.receipts")
            for column in ("wanted", "distrusts_updates"):
                engine.execute(f"ALTER TABLE lake.sources DROP COLUMN {column}")
            engine.execute("UPDATE lake.meta SET value = '2' WHERE key = 'schema_version'")
    return Reader(home)


def test_an_older_lake_tells_when_a_project_was_pulled(older: Reader) -> None:
    assert last_pass(older, KEY.entity, KEY.project) == AT


def test_an_older_lake_has_no_receipts(older: Reader) -> None:
    assert endings_of(older, ["an entry"]) == {}
    assert given_up_creations(older) == {}
