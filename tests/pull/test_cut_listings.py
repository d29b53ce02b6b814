"""A server may cut its listings without a word: nothing that it has is taken for gone, and what it counts is listed."""

from __future__ import annotations

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.mirroring import ENTITY, PROJECT, Mirror


@pytest.mark.parametrize("state", ["finished", "running"])
@pytest.mark.parametrize("hide", ["PageInfo.hasNextPage", "RunConnection.pageInfo"])
def test_what_a_server_counts_is_read_and_nothing_that_it_has_is_gone(home: Home, hide: str, state: str) -> None:
    with Sandbox.start(hide=[hide], page_limit=4) as sandbox:
        for number in range(11):
            when = f"2024-01-01T00:{number:02}:00"
            sandbox.state.add_run(ENTITY, PROJECT, f"r{number:02}", created_at=when, state=state)
        mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home)
        for _ in range(3):
            report = mirror.pull()
            assert report.errors == []
            assert len(mirror.run_ids()) == 11
            assert len(mirror.ask("FROM failures")) == report.failures, "told alike"
        assert mirror.pull(force_walk=True).errors == []
        assert len(mirror.run_ids()) == 11
