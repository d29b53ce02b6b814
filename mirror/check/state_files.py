"""Small files beside the data: the configuration, what the daemon says and remembers, who holds a lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mirror.check.findings import Damage, Findings, below
from mirror.check.objects import unreadable
from mirror.config import load_config
from mirror.errors import ConfigError
from mirror.layout import Home


def check_state_files(home: Home, findings: Findings) -> None:
    """Read them; each is replaced as a whole by those who write it, so that half of one is damage."""
    try:
        load_config(home.config)
    except ConfigError as error:
        findings.add(_told(home, home.config, error.message, "your settings", error.hint or "correct the file"))
    for path, lost, hint in _written_by_us(home):
        try:
            msgspec.json.decode(path.read_bytes())
        except FileNotFoundError:
            continue
        except OSError as error:
            findings.add(unreadable(home, path, error))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            findings.add(_told(home, path, f"it is not whole JSON: {error}", lost, hint))


def _written_by_us(home: Home) -> Iterator[tuple[Path, str, str]]:
    """The files, what is lost with each, and what to do."""
    yield home.status, "what the daemon said about itself", "nothing: the daemon writes it anew; or remove the file"
    for holder in (home.writer_holder, home.replay_holder, home.daemon_holder):
        yield holder, "who holds the lock", "nothing: it is written anew; or remove the file"
    if home.watch.is_dir():
        for name in sorted(os.listdir(home.watch)):  # noqa: PTH208 -- names alone
            if name.endswith(".json") and not name.startswith("."):
                yield (
                    home.watch / name,
                    "what was uploaded from a watch folder: its files are compared anew",
                    f"stop the daemon, remove {home.watch / name}, start it",
                )


def _told(home: Home, path: Path, wrong: str, lost: str, hint: str) -> Damage:
    return Damage(kind="state_damaged", path=below(home, path), wrong=wrong, lost=lost, hint=hint)
