"""One sandbox and one wandb service for the whole contract suite; each test has a project of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mirror.sandbox import Sandbox

ENTITY = "contract-team"

_numbers = itertools.count(1)
_running: list[Sandbox] = []


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox that the SDK's environment points at; nothing of the SDK leaves the temporary folder or loopback.

    A process has one, whichever folders of tests ask for it: the SDK's service knows one environment.
    """
    if _running:
        yield _running[0]
        return
    home: Path = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch, Sandbox.start(page_limit=1000) as sandbox:
        for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR"):
            folder = home / name.lower()
            folder.mkdir()
            patch.setenv(f"WANDB_{name}", str(folder))
        patch.setenv("NETRC", str(home / "netrc"))
        patch.setenv("HOME", str(home))
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_ERROR_REPORTING", "false")
        patch.setenv("WANDB_DISABLE_GIT", "true")
        patch.setenv("WANDB_BASE_URL", sandbox.url)
        patch.setenv("WANDB_API_KEY", sandbox.api_key)
        import wandb

        wandb.teardown()  # what another test of this process set up has the environment of before
        _running.append(sandbox)
        yield sandbox
        _running.clear()
        wandb.teardown()


@pytest.fixture
def project() -> str:
    """Name of a project that no other test uses."""
    return f"project-{next(_numbers)}"


@pytest.fixture
def api(server: Sandbox) -> Any:
    """A public API object of the real SDK, with the default entity given so that nothing is looked up."""
    import wandb

    server.faults.clear()
    return wandb.Api(overrides={"entity": ENTITY, "base_url": server.url}, timeout=30)
