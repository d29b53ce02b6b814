"""The form of an archive: a ZIP file without compression, whose last member names and checks all others.

A file that was torn lacks the manifest, or the directory behind it; one that was altered anywhere fails a checksum.
Both are refused whole, before anything of them is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import msgspec

from mirror.durable import TMP_PREFIX, sync_descriptor, sync_folder
from mirror.errors import ConfigError
from mirror.records.offline import OfflineLog
from mirror.typed import decode

FORM = "wandb-mirror outbox"
VERSION = 1
MANIFEST = "manifest.json"
MANIFEST_MOST = 1 << 30  # bytes
_PIECE = 1 << 20
_TIME = (1980, 1, 1, 0, 0, 0)  # ZIP has to have one


class Member(msgspec.Struct, frozen=True):
    """What a member is."""

    size: int  # bytes
    sha256: str


class CarriedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A log of a run that was trained without a server, and what it names of its machine."""

    row: OfflineLog
    member: str  # the log
    files: Mapping[str, str] = {}  # members of what the run saved, by name
    staged: Mapping[str, str] = {}  # members of what its artifacts hold, by the paths that the log names


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds."""

    form: str = FORM
    version: int = VERSION
    deployment: str  # of the home that made it
    entries: tuple[str, ...]  # members, in the order in which they were queued
    runs: tuple[CarriedRun, ...]
    members: Mapping[str, Member]


class ArchiveWriter:
    """An archive that is being written.

    Args:
        file: where.
    """

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self.members: dict[str, Member] = {}

    def add_bytes(self, name: str, content: bytes) -> None:
        """Write a member, unless it is there."""
        if name not in self.members:
            self._file.writestr(zipfile.ZipInfo(name, _TIME), content)
            self.members[name] = Member(len(content), hashlib.sha256(content).hexdigest())

    def add(self, name: str, source: BinaryIO) -> None:
        """Write what a stream has, unless it is there."""
        if name in self.members:
            return
        digest, size = hashlib.sha256(), 0
        info = zipfile.ZipInfo(name, _TIME)
        with self._file.open(info, "w", force_zip64=True) as member:
            while piece := source.read(_PIECE):
                member.write(piece)
                digest.update(piece)
                size += len(piece)
        self.members[name] = Member(size, digest.hexdigest())


@contextlib.contextmanager
def writing(path: Path) -> Iterator[ArchiveWriter]:
    """A new archive: whole and durable when this ends well, else not there.

    Args:
        path: the file; it is not there yet.

    Yields:
        The writer; who uses it ends with `finish`.

    Raises:
        ConfigError: there is something of this name; its folder is not there or not writable; the disk is full.
    """
    if path.exists():
        raise ConfigError(f"{path} is there already", hint="name a new file")
    temporary = path.with_name(f"{TMP_PREFIX}{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="name a file elsewhere") from error
    try:
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                yield ArchiveWriter(archive)
            file.flush()
            sync_descriptor(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", hint="name a file where there is room"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def finish(writer: ArchiveWriter, manifest: Manifest) -> None:
    """Write the manifest, the last member."""
    writer.add_bytes(MANIFEST, msgspec.json.encode(manifest))


class Archive:
    """An archive that was found whole.

    Args:
        file: open.
        manifest: its own.
    """

    def __init__(self, file: zipfile.ZipFile, manifest: Manifest) -> None:
        self._file = file
        self.manifest = manifest

    def open(self, name: str) -> BinaryIO:
        """A member's bytes."""
        opened: BinaryIO = self._file.open(name)  # type: ignore[assignment]  # an IO of bytes is one
        return opened

    def read(self, name: str) -> bytes:
        """The same at once, of a small one."""
        return self._file.read(name)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Archive]:
    """An archive, after all of it was checked.

    Raises:
        ConfigError: it is not there, torn, altered, or something else; one sentence says which.
    """
    try:
        with zipfile.ZipFile(path) as file:
            yield Archive(file, _checked(path, file))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is not there", hint="`wandb-mirror outbox export FILE` makes one") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder", hint="name the file that `outbox export` wrote") from error
    except PermissionError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="look at its permissions") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise _refused(path, "it is torn, or no archive of an outbox") from error


def _checked(path: Path, file: zipfile.ZipFile) -> Manifest:
    infos = {info.filename: info for info in file.infolist()}
    last = infos.get(MANIFEST)
    if last is None or last.file_size > MANIFEST_MOST or last.compress_type != zipfile.ZIP_STORED:
        raise _refused(path, "it is torn, or no archive of an outbox")
    try:
        manifest = decode(file.read(MANIFEST), Manifest)
    except msgspec.DecodeError as error:
        raise _refused(path, f"its manifest cannot be read: {error}") from error
    if manifest.form != FORM:
        raise _refused(path, "it is no archive of an outbox")
    if manifest.version > VERSION:
        raise ConfigError(f"{path} was made by a newer wandb-mirror", hint="upgrade this one")
    if len(infos) != len(file.infolist()) or infos.keys() - {MANIFEST} != set(manifest.members):
        raise _refused(path, "it holds other parts than it should")
    for name, member in manifest.members.items():
        info = infos[name]
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != member.size:
            raise _refused(path, f"its part {name} was altered")
        digest = hashlib.sha256()
        with file.open(info) as content:
            while piece := content.read(_PIECE):
                digest.update(piece)
        if digest.hexdigest() != member.sha256:
            raise _refused(path, f"its part {name} was altered")
    named = {*manifest.entries, *(run.member for run in manifest.runs)}
    named |= {member for run in manifest.runs for member in (*run.files.values(), *run.staged.values())}
    if not named <= set(manifest.members):
        raise _refused(path, "it lacks parts")
    return manifest


def _refused(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"{path} is refused whole: {reason}", hint="copy it once more, or export again")
