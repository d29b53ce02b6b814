"""One project on a sandbox, as the SDK sees it over the network and as the mirror sees it without one."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import mirror as package
from mirror import Api
from mirror.layout import Home
from mirror.sandbox import Sandbox
from tests.contract.both import words
from tests.contract.conftest import ENTITY
from tests.mirroring import Mirror


class NoNetworkAllowed(AssertionError):
    """Somebody opened a socket where none may be."""


@dataclass(frozen=True)
class Failed:
    """An error: the names of the classes that would catch it, and its text."""

    kinds: frozenset[str]
    kind: str
    text: str


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Every attempt to connect anywhere fails."""

    def refuse(*_: Any, **__: Any) -> None:
        raise NoNetworkAllowed("a socket was opened")

    with contextlib.ExitStack() as patches:
        for name in ("connect", "connect_ex", "bind", "sendto"):
            patches.enter_context(mock.patch.object(socket.socket, name, refuse))
        patches.enter_context(mock.patch.object(socket, "getaddrinfo", refuse))
        yield


@dataclass(frozen=True, kw_only=True)
class World:
    """A project that was mirrored, and both ways to look at it."""

    server: Sandbox
    mirror: Mirror
    sdk: Any  # wandb.Api
    held: Api  # of the mirror; its lake stays open
    project: str

    def path(self, run_id: str) -> str:
        return f"{ENTITY}/{self.project}/{run_id}"

    def api(self) -> Api:
        """A new one each time: what a process sees that starts now."""
        return Api(self.mirror.home)

    def run(self, run_id: str) -> package.Run:
        return self.api().run(self.path(run_id))

    def same(self, run_id: str, question: Callable[[Any], Any]) -> Any:
        """What both answer to a question about a run; they must agree."""
        return self.same_of_api(lambda api: question(api.run(self.path(run_id))))

    def same_of_api(self, question: Callable[[Any], Any]) -> Any:
        """The same of a question to the `Api` itself.

        Returns:
            The mirror's answer: a value, or how it failed.
        """
        theirs = outcome(lambda: question(self.sdk))
        with offline():
            self.held.flush()
            mine = outcome(lambda: question(self.held))
            again = outcome(lambda: question(self.api()))
        if isinstance(theirs, Failed):
            assert isinstance(mine, Failed), f"the SDK failed with {theirs}, the mirror answered {mine!r}"
            assert theirs.kind in mine.kinds
            assert mine.text == theirs.text
        else:
            assert mine == theirs
        assert again == mine, "another answer after a restart"
        return mine


def world_of(server: Sandbox, home: Home, project: str, **policy: Any) -> World:
    """Mirror a project, with the bytes of artifacts unless a policy says otherwise."""
    import wandb

    mirror = Mirror(
        url=server.url,
        api_key=server.api_key,
        home=home,
        sources=(f"{ENTITY}/{project}",),
        policy={"artifacts_include": ("*",), **policy},
    )
    assert mirror.pull().failures == 0
    sdk = wandb.Api(overrides={"entity": ENTITY, "base_url": server.url}, timeout=30)
    return World(server=server, mirror=mirror, sdk=sdk, held=Api(home), project=project)


def outcome(answer: Callable[[], Any]) -> Any:
    """A value, or how it failed."""
    try:
        return answer()
    except NoNetworkAllowed:
        raise
    except Exception as error:
        kinds = frozenset(kind.__name__ for kind in type(error).__mro__)
        return Failed(kinds, type(error).__name__, words(error))
