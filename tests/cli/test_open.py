"""`wandb-mirror open`: one address that is good for once, at the gateway that runs or at one that it starts."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from mirror.cli.commands.open import is_ours
from mirror.gateway.http.key import fresh_key
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli
from tests.cli.warm import Started, warm_program


@pytest.fixture
def cli(tmp_path: Path, sandbox: Sandbox) -> Cli:
    """A home with a run, whose gateway listens on a port that is free now."""
    sandbox.state.add_run("team", "proj", "run1", display_name="baseline")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f'[serve]\nlisten = "127.0.0.1:{free.getsockname()[1]}"\n'
    made = Cli(folder=tmp_path).at(sandbox).configure("team/proj", more=listen)
    made("pull", code=0)
    return made


@contextlib.contextmanager
def left_running(cli: Cli, *arguments: str) -> Iterator[tuple[Started, IO[str]]]:
    """The command, and what it prints."""
    prints, printed = os.pipe()
    with (cli.folder / "errors").open("w+") as errors, Path(os.devnull).open() as nothing:
        process = warm_program().start(
            arguments, cli.environment(), cli.folder, stdin=nothing.fileno(), stdout=printed, stderr=errors.fileno()
        )
        os.close(printed)
        try:
            with os.fdopen(prints) as said:
                yield process, said
        finally:
            process.send_signal(signal.SIGINT)
            status = process.wait(20)
            errors.seek(0)
            told = errors.read()
    assert status == 0, told
    assert "defect" not in told


def shown(address: str) -> httpx.Response:
    """The page behind a one-time address."""
    with httpx.Client(follow_redirects=True, headers={"accept": "text/html"}) as client:
        return client.get(address)


def test_it_starts_a_gateway_and_the_next_one_finds_it(cli: Cli) -> None:
    with left_running(cli, "open", "baseline", "--no-browser") as (_, said):
        address = said.readline().strip()
        page = shown(address)
        assert (page.status_code, page.url.path) == (200, "/team/proj/runs/run1")
        assert shown(address).status_code == 403  # good for once
        second = cli("open", "team/proj", "--no-browser", code=0).out.strip()
        assert urlsplit(second).netloc == urlsplit(address).netloc
        assert shown(second).url.path == "/team/proj"


def test_a_port_that_somebody_else_has_is_told_nothing(cli: Cli) -> None:
    listen = cli.config.read_text().partition('listen = "')[2].partition('"')[0]
    host, port = listen.split(":")
    with socket.create_server((host, int(port))) as other:
        with left_running(cli, "open", "--no-browser") as (_, said):
            address = said.readline().strip()
            assert urlsplit(address).port != int(port)
            assert shown(address).status_code == 200
        other.setblocking(False)
        asked, _ = other.accept()
        with asked:
            request = asked.recv(1000).decode()
    assert request.startswith("GET /-/proof?challenge=")
    key = Home(cli.home).gateway_key.read_text().strip()
    assert key not in request
    assert parse_qs(urlsplit(address).query)["ticket"][0] not in request


def test_only_who_has_the_key_passes_for_the_gateway(cli: Cli) -> None:
    with left_running(cli, "open", "--no-browser") as (_, said):
        base = said.readline().partition("/-/")[0]
        assert not is_ours(base, fresh_key())
    assert not is_ours(base, fresh_key())  # nobody answers


def test_a_run_that_is_not_here_starts_nothing(cli: Cli) -> None:
    assert "not in this mirror" in cli("open", "team/proj/nobody", "--no-browser", code=5).err


def test_a_home_that_is_not_set_up_is_said(tmp_path: Path) -> None:
    assert "wandb-mirror init" in Cli(folder=tmp_path)("open", "--no-browser", code=5).err
