"""Objects: each file is named by the SHA-256 of its bytes, and each that something names is there."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mirror.check.findings import Damage, Findings, below
from mirror.check.hashing import THREADS, HashingProgress, map_in_threads, sha256_of
from mirror.layout import Home
from mirror.store.care.inspection import Referrers
from mirror.store.care.objects import object_path

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NOBODY = "nothing: no row of the mirror names it"
_UNKNOWN = "not known, since the tables cannot be read"


def damaged_objects(
    home: Home, findings: Findings, meter: HashingProgress, *, quick: bool, threads: int = THREADS
) -> list[str]:
    """Read every object; what is none, or cannot be read, is a finding.

    Args:
        home: whose.
        findings: take what is wrong but for damaged objects, of which the caller says what is lost.
        meter: counts.
        quick: look at the names alone.
        threads: that hash at a time.

    Returns:
        Digests of the objects whose bytes are others.

    Raises:
        OSError: a folder cannot be read.
    """
    found = (path for path in _files(home) if _is_object(path, home, findings))
    if quick:
        for _ in found:
            meter.done()
        return []
    damaged = []
    for path, outcome in map_in_threads(found, lambda path: _look(path, meter), threads):
        if isinstance(outcome, OSError):
            findings.add(unreadable(home, path, outcome))
        elif outcome is not None and outcome != path.name:
            damaged.append(path.name)
    return damaged


def missing_objects(home: Home, named: Iterable[tuple[str, int | None]], *, quick: bool) -> tuple[list[str], list[str]]:
    """Look for the objects that rows name.

    Args:
        home: where they lie.
        named: digests, and sizes in bytes where they are known.
        quick: compare the sizes, too; hashing tells more.

    Returns:
        Digests of those that are not there, and of those of another size.
    """
    missing, other = [], []
    for digest, size in named:
        try:
            found = os.stat(object_path(home, digest))  # noqa: PTH116 -- one look at both facts
        except FileNotFoundError:
            missing.append(digest)
        else:
            if quick and size is not None and found.st_size != size:
                other.append(digest)
    return missing, other


def told_object(
    digest: str, names: Referrers | None, *, damaged: bool, known: bool = True, set_aside: bool = False
) -> Damage:
    """What is to be said about an object that is damaged or missing.

    Args:
        digest: its name.
        names: the rows that name it; None: there are none.
        damaged: it is there with other bytes; else it is missing.
        known: the rows could be read.
        set_aside: a file that was set aside in the outbox may need it, so that it stays where it is.
    """
    path = f"objects/sha256/{digest[:2]}/{digest}"
    hint = f"restore {path} from a backup"
    if names is None:
        lost = _NOBODY if known else _UNKNOWN
        if set_aside:
            lost = "the bytes of an upload, if what is set aside in the outbox is one"
            hint += "; or remove what is set aside from HOME/outbox/aside, then `wandb-mirror repair`"
        elif known:
            hint = "`wandb-mirror repair` moves it out of the way"
    else:
        more = f" and {names.count - len(names.shown)} more" if names.count > len(names.shown) else ""
        lost = f"the bytes of {', '.join(names.shown)}{more}"
        if names.upstream:
            hint = "`wandb-mirror repair`, then `wandb-mirror pull`"
        else:
            lost += ", which W&B no longer has"
    return Damage(
        kind="object_damaged" if damaged else "object_missing",
        path=path,
        wrong="its bytes are not those that its name says" if damaged else "it is named, but not there",
        lost=lost,
        hint=hint,
    )


def unreadable(home: Home, path: Path, error: OSError) -> Damage:
    """A file whose bytes the system does not give."""
    what = error.strerror or str(error)
    hint = "check the disk (`dmesg`), copy what can be read to another one"
    if error.errno in (errno.EACCES, errno.EPERM):
        hint = f"run this as the owner of {home.root}, or correct the permissions"
    return Damage(
        kind="unreadable",
        path=below(home, path),
        wrong=f"it cannot be read: {what}",
        lost="not known before it can be read",
        hint=hint,
    )


def _look(path: Path, meter: HashingProgress) -> str | OSError | None:
    """The digest of a file; None when it was removed meanwhile, as maintenance does with what nothing names."""
    try:
        return sha256_of(path, meter)
    except FileNotFoundError:
        return None
    except OSError as error:
        return error


def _is_object(path: Path, home: Home, findings: Findings) -> bool:
    """Whether a file is where an object of its name lies; anything else there is told."""
    regular = not path.is_symlink() and path.is_file()
    if regular and _DIGEST.fullmatch(path.name) and path == object_path(home, path.name):
        return True
    if not os.path.lexists(path):  # removed since it was listed
        return False
    findings.add(
        Damage(
            kind="object_misplaced",
            path=below(home, path),
            wrong="it is no object: objects are files named by their SHA-256, below its first two digits",
            lost="nothing that the mirror knows of",
            hint=f"move {path} out of the home",
        )
    )
    return False


def _files(home: Home) -> Iterator[Path]:
    """Everything in the folders of the objects; hidden files (of file managers, of NFS) are nobody's business."""
    if not home.objects.exists():
        return
    with os.scandir(home.objects) as found:
        folders = sorted(found, key=lambda entry: entry.name)
    for folder in folders:
        if folder.name.startswith("."):
            continue
        if not folder.is_dir(follow_symlinks=False):
            yield Path(folder.path)
            continue
        with os.scandir(folder.path) as found:
            for entry in found:
                if not entry.name.startswith("."):
                    yield Path(entry.path)
