"""How many requests pulls of many runs take. `pytest -m bench`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.layout import Home
from tests.bench.measuring import serving
from tests.mirroring import Mirror

pytestmark = pytest.mark.bench


def test_metadata_of_10000_runs_takes_at_most_30_requests_and_nothing_new_at_most_2(tmp_path: Path) -> None:
    with serving("runs", 10_000) as server:
        mirror = Mirror(url=server.url, api_key=server.key, home=Home(tmp_path / "home"))
        first, again = mirror.pull(), mirror.pull()
    assert sum(project.written for project in first.projects) == 10_000
    assert first.requests <= 30
    assert again.requests <= 2
    assert sum(project.written for project in again.projects) == 0


def test_a_thousand_runs_with_contents_take_few_requests_and_nothing_new_takes_hardly_any(tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.mkdir()
    with serving("static", content) as static, serving("contents", 1_000, 20, 20, content, static.url) as server:
        mirror = Mirror(url=server.url, api_key=server.key, home=Home(tmp_path / "home"))
        first, again = mirror.pull(), mirror.pull()
    assert first.failures == 0
    assert first.requests <= 40
    assert again.requests <= 3
    assert again.transfers == 0
