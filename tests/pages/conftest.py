"""The mirror that the pages and the notebooks are about, made once for each worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pages.prepared import Prepared, prepared


@pytest.fixture(scope="session")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """Its home is for copying: no test changes it. The server may be changed by pages about edits."""
    with prepared(tmp_path_factory.mktemp("held")) as mirror:
        yield mirror
