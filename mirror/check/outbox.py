"""The outbox: each entry can be read, each upload's bytes are there. No lock is taken: what moves is followed."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from mirror.check.findings import Damage, Findings
from mirror.check.hashing import HashingProgress
from mirror.layout import Home
from mirror.outbox.folders import STATES, Aside, Folders
from mirror.outbox.reading import OutboxReader
from mirror.records.operations import Entry, EntryState, UploadFile
from mirror.store.objects.objects import Objects


class HurtUpload(msgspec.Struct, frozen=True, kw_only=True):
    """A queued upload whose bytes are damaged or gone."""

    entry: Entry
    upload: UploadFile
    damaged: bool  # else gone


class OutboxCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    entries: int
    hurt: tuple[HurtUpload, ...]  # the caller tells them: what can be done depends on who else has the bytes


def check_outbox(home: Home, findings: Findings, meter: HashingProgress, damaged: Collection[str]) -> OutboxCheck:
    """Read every entry.

    Args:
        home: whose.
        findings: take what is wrong.
        meter: counts.
        damaged: digests of objects whose bytes are others.

    Raises:
        OSError: a folder cannot be read.
    """
    folders = Folders(home, lambda _: None)
    count = 0
    hurt: list[HurtUpload] = []
    bad = frozenset(damaged)
    for state, name in _names(folders):
        state, found = _followed(folders, state, name)
        if found is None:  # delivered meanwhile
            continue
        count += 1
        meter.done()
        if isinstance(found, Aside):
            findings.add(
                Damage(
                    kind="entry_damaged",
                    path=f"outbox/{state}/{name}",
                    wrong=found.reason,
                    lost="one operation that was queued: it is not delivered as it is",
                    hint="restore the file from a backup, or queue the change again; `wandb-mirror outbox list` puts"
                    " it aside",
                )
            )
        elif isinstance(found.operation, UploadFile):
            is_damaged = found.operation.object in bad
            if is_damaged or _is_missing(home, folders, found, name):
                hurt.append(HurtUpload(entry=found, upload=found.operation, damaged=is_damaged))
    for name in OutboxReader(home).asides():
        findings.add(
            Damage(
                kind="entry_aside",
                path=f"outbox/aside/{name}",
                wrong="it was set aside: torn, or written by a newer wandb-mirror",
                lost="one operation that was queued, unless a newer wandb-mirror reads it",
                hint="upgrade wandb-mirror and run `wandb-mirror replay`; or queue the change again, remove the file",
            )
        )
    return OutboxCheck(entries=count, hurt=tuple(hurt))


def _names(folders: Folders) -> Iterator[tuple[EntryState, str]]:
    for state in STATES:
        for name in folders.names(state):
            yield state, name


def _followed(folders: Folders, state: EntryState, name: str) -> tuple[EntryState, Entry | Aside | None]:
    """An entry that was listed, wherever it is now; None when it left the outbox."""
    found = folders.try_load(state, name)
    while found is None and (now := folders.place(name)) is not None:
        state, found = now, folders.try_load(now, name)
    return state, found


def _is_missing(home: Home, folders: Folders, entry: Entry, name: str) -> bool:
    """Whether the bytes of an upload that still waits are gone."""
    assert isinstance(entry.operation, UploadFile)
    return not Objects(home).has(entry.operation.object) and folders.place(name) is not None


def told_upload(home: Home, hurt: HurtUpload, *, upstream: bool) -> Damage:
    """What is to be said about it.

    Args:
        home: where `repair` moved damaged objects.
        hurt: the upload.
        upstream: W&B has the same bytes in something that is mirrored, so that they can be fetched again.
    """
    entry, upload = hurt.entry, hurt.upload
    path = f"objects/sha256/{upload.object[:2]}/{upload.object}"
    hint = f"restore {path} from a backup; or `wandb-mirror outbox drop {entry.id}` and upload the file again"
    if upstream:
        hint = "`wandb-mirror repair`, then `wandb-mirror pull`: the same bytes are mirrored"
    elif not hurt.damaged and any(home.damaged.glob(f"*/{upload.object}")):
        hint = f"`wandb-mirror pull`, if `repair` moved it away just now; else {hint}"
    return Damage(
        kind="object_damaged" if hurt.damaged else "object_missing",
        path=path,
        wrong=f"the queued upload {entry.id} needs it, and"
        f" {'its bytes are others' if hurt.damaged else 'it is not there'}",
        lost=f"the upload of {upload.name} to {entry.run_path}",
        hint=hint,
    )
