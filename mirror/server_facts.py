"""What is known of the server, kept in the home: a JSON file that can be made anew by asking the server again."""

from __future__ import annotations

import contextlib

import msgspec

from mirror.durable import write_replace
from mirror.layout import Home
from mirror.records.server import ServerFacts, Viewer
from mirror.typed import decode


def read_server_facts(home: Home, deployment: str) -> ServerFacts | None:
    """What is known of a server; None when nothing is, when it is another server's, or the file cannot be read.

    Args:
        home: where it is kept.
        deployment: `Deployment.id` of the server.
    """
    facts = last_server_facts(home)
    return facts if facts is not None and facts.deployment == deployment else None


def last_server_facts(home: Home) -> ServerFacts | None:
    """What is known of the server that was pulled from last, whichever it is; None when nothing is."""
    try:
        return decode(home.server_facts.read_bytes(), ServerFacts)
    except (OSError, ValueError, RecursionError):
        return None


def read_viewer(home: Home) -> Viewer | None:
    """Whom the server knew by the key when it was asked last; None when that is not known."""
    facts = last_server_facts(home)
    return facts.viewer if facts is not None else None


def keep_server_facts(home: Home, facts: ServerFacts) -> None:
    """Keep what is known, where there is a home; a disk that takes nothing costs the question once more, no pull."""
    if home.root.is_dir():
        with contextlib.suppress(OSError):
            write_replace(home.server_facts, msgspec.json.encode(facts), mode=0o600)
