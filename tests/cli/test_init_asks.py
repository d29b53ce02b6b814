"""`init` on a terminal asks for what is missing, and says what a first pull will take."""

from __future__ import annotations

import os
import pty
import re
import select
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.cli.first_steps.questions import chosen
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli

PATIENCE_S = 60.0


class Person:
    """Types what is asked for, in a terminal of its own."""

    def __init__(self, cli: Cli, *arguments: str) -> None:
        self._mine, theirs = pty.openpty()
        self.process = cli.using(TERM="xterm-256color", COLUMNS="120").start(
            *arguments, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self.seen = ""
        self._told = 0  # up to where it was answered

    def answer(self, asked: str, typed: str) -> None:
        """Wait for a question, and type."""
        self._read_until(lambda: asked in self.seen[self._told :])
        self._told = self.seen.index(asked, self._told) + len(asked)
        os.write(self._mine, f"{typed}\n".encode())

    def end(self) -> int:
        """Read to the end; the exit status."""
        self._read_until(lambda: self.process.poll() is not None and not self._ready(0.1))
        os.close(self._mine)
        return self.process.wait()

    def _ready(self, seconds: float) -> bool:
        return bool(select.select([self._mine], [], [], seconds)[0])

    def _read_until(self, done: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < until, self.seen
            if self._ready(0.1):
                try:
                    self.seen += os.read(self._mine, 65536).decode(errors="replace").replace("\r", "")
                except OSError:
                    return


@pytest.fixture
def offering(sandbox: Sandbox) -> Sandbox:
    for project, runs in (("big", 5), ("small", 1)):
        for number in range(runs):
            sandbox.state.add_run("sandy", project, f"r{number}", state="finished", files={"a.bin": b"x" * 2000})
    return sandbox


def test_it_asks_for_server_key_and_projects_and_estimates_the_first_pull(cli: Cli, offering: Sandbox) -> None:
    person = Person(cli, "init")
    person.answer("api.wandb.ai]: ", offering.url)
    person.answer("API key: ", "too short")
    person.answer("API key: ", offering.api_key)
    person.answer("~/.netrc, as `wandb login` does? [Y/n]: ", "y")
    person.answer("with commas: ", "9")
    person.answer("with commas: ", "1, sandy/smal*")
    assert person.end() == 0, person.seen
    assert "does not look like one" in person.seen
    assert "no number of the list" in person.seen
    assert offering.api_key not in person.seen
    netrc = Path(cli.environment()["NETRC"])
    assert netrc.stat().st_mode & 0o777 == 0o600
    assert offering.api_key in netrc.read_text()
    held = tomllib.loads(cli.config.read_text(encoding="utf-8"))
    assert held["server"] == {"base_url": offering.url}
    assert [source["path"].partition("/")[2] for source in held["source"]] == ["big", "smal*"]
    assert re.search(r"1 +\S+/big +5 runs", person.seen), person.seen
    assert re.search(r"a first pull of 6 runs takes about \d+ requests?, 6 downloads and 12\.0 kB", person.seen)
    assert person.seen.rstrip().endswith("next: wandb-mirror pull")
    said = cli("pull", code=0)
    assert "5 new or changed" in said.err


@pytest.mark.parametrize(
    ("typed", "paths"),
    [
        ("2", ["b/y"]),
        ("1-3", ["a/x", "b/y", "c/z"]),
        ("3, 1 3", ["c/z", "a/x"]),
        ("e/p, 1", ["e/p", "a/x"]),
        ("e/*", ["e/*"]),
        ("", "at least one"),
        ("0", "no number"),
        ("4", "no number"),
        ("3-1", "no number"),
        ("nonsense", "wandb.ai/ENTITY/PROJECT"),
    ],
)
def test_projects_are_chosen_by_number_or_name(typed: str, paths: list[str] | str) -> None:
    listed = ["a/x", "b/y", "c/z"]
    if isinstance(paths, list):
        assert chosen(typed, listed) == paths
    else:
        with pytest.raises(ValueError, match=re.escape(paths)):
            chosen(typed, listed)
