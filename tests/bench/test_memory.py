"""The peak of a whole pull's memory for one large history and one large file. `-m bench -s`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.test_metadata import pulled, serving

pytestmark = pytest.mark.bench
MOST_MB = 400.0


@pytest.mark.parametrize(
    "large", [("history", "50000", "200"), ("file", str(2 << 30))], ids=["50,000 steps x 200 keys", "a file of 2 GB"]
)
def test_one_large_thing_keeps_within_400_mb(tmp_path: Path, large: tuple[str, ...]) -> None:
    with serving("tests.bench.large_server", *large) as (url, key):
        figures = pulled(url, key, tmp_path / "home")
    megabytes, peak_mb = figures["bytes"] / 1e6, figures["peak_mb"]
    print(f"\n{large[0]}: {megabytes:.0f} MB came, peak {peak_mb:.0f} MB, {figures['seconds']:.1f} s")
    assert figures["written"] == 1
    assert megabytes > MOST_MB / 5  # all of it came
    assert peak_mb <= MOST_MB
