"""One mirror, pulled from a server that is gone afterwards, and its page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.browser import Browser
from tests.gateway.served import served
from tests.mirroring import SOURCE, Mirror
from tests.web.site import Site, fill


@pytest.fixture(scope="session")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with all that the page shows."""
    home = Home(tmp_path_factory.mktemp("page") / "home")
    with Sandbox.start() as sandbox:
        fill(sandbox)
        mirror = Mirror(url=sandbox.url, api_key=sandbox.api_key, home=home, policy={"artifacts_include": ("*",)})
        assert mirror.pull().errors == []
        source = f'[[source]]\npath = "{SOURCE}"\nartifacts_include = ["*"]\n'
        home.config.write_text(f'[server]\nbase_url = "{sandbox.url}"\n{source}', encoding="utf-8")
    return home


@pytest.fixture(scope="session")
def site(pulled: Home) -> Iterator[Site]:
    """Its page, in a process of its own. Who changes something takes a home of its own."""
    with served(pulled) as gateway:
        yield Site(gateway)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for this folder; without Chromium its tests fail and say how to get it."""
    with Browser() as opened:
        yield opened
