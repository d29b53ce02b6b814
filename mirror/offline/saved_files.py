"""The files that a run saved, and those that the SDK makes of it at its end."""

from __future__ import annotations

import base64
import datetime as dt
import glob
import hashlib
import json
import mimetypes
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import yaml
from google.protobuf.json_format import MessageToDict

from mirror.offline.log.run_log import RunLog
from mirror.records.contents import FileRow, HeldFile
from mirror.store.objects.objects import Objects
from mirror.store.objects.uploads import take_in
from mirror.texts.values import parse_lenient

END = 1  # the policy of a file that is wanted once, when the run is over
_CONSOLE = "output.log"
_ESCAPED = re.compile(r"\[([*?[])\]")  # as `glob.escape` writes what would have a meaning


class SavedFiles:
    """The files of a run as they were taken, so that each is taken once.

    Args:
        objects: of the home.
        folder: of what the run saved.
        held: what the lake has of the run's files.
    """

    def __init__(self, objects: Objects, folder: Path, held: Mapping[str, HeldFile]) -> None:
        self._objects, self._folder = objects, folder
        self._md5 = {name: file.md5 for name, file in held.items()}
        self._seen = {name: (file.size, file.updated_at_text) for name, file in held.items()}

    def due(self, log: RunLog, *, ended: bool) -> Iterator[FileRow]:
        """The files that are new or changed, and that are wanted now; copied into the objects.

        Args:
            log: says which files, and when they are wanted.
            ended: whether the run goes on no more.
        """
        patterns = {file.path for file in log.files.values() if ended or file.policy != END}
        if ended and (self._folder / _CONSOLE).is_file():
            patterns.add(_CONSOLE)
        for name in sorted({name for pattern in patterns for name in _matching(self._folder, pattern, ended=ended)}):
            path = self._folder / name
            try:
                seen = path.stat()
                at = dt.datetime.fromtimestamp(seen.st_mtime, dt.UTC)
                if self._seen.get(name) == (seen.st_size, at.isoformat()):
                    continue
                taken = take_in(self._objects, path)
            except OSError as error:
                if name not in self._seen:
                    self._seen[name] = (None, None)
                    yield _lost(name, f"{path} cannot be read: {error.strerror}")
                continue
            self._seen[name] = (seen.st_size, at.isoformat())
            if self._md5.get(name) == taken.md5:
                continue
            self._md5[name] = taken.md5
            yield FileRow(
                name=name, file_id=None, size=taken.size, md5=taken.md5, mimetype=taken.mimetype, updated_at=at,
                updated_at_text=at.isoformat(), object=taken.object, status="held",
            )  # fmt: skip

    def made(self, log: RunLog, at: dt.datetime) -> Iterator[FileRow]:
        """What the SDK makes of a run when it delivers it: its config, its summary, what it says of the machine."""
        environment = MessageToDict(log.environment)
        made = {
            "config.yaml": yaml.safe_dump(parse_lenient(log.config_text), allow_unicode=True),
            "wandb-summary.json": log.summary_text,
        }
        if environment:
            made["wandb-metadata.json"] = json.dumps(environment, indent=2, ensure_ascii=False)
        for name, text in made.items():
            if name in log.files:  # the process made it
                continue
            content = text.encode(errors="surrogatepass")
            md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
            if self._md5.get(name) == md5:
                continue
            self._md5[name] = md5
            yield FileRow(
                name=name, file_id=None, size=len(content), md5=md5, mimetype=mimetypes.guess_type(name)[0],
                updated_at=at, updated_at_text=None, object=self._objects.put_bytes(content), status="held",
            )  # fmt: skip


def _matching(folder: Path, pattern: str, *, ended: bool) -> Iterator[str]:
    """The names that a path or a glob stands for; one that would leave the folder stands for none."""
    pure = PurePosixPath(pattern.replace("\\", "/") if os.name == "nt" else pattern)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        return
    if not glob.has_magic(pattern) or (folder / pattern).exists():
        if ended or (folder / pattern).is_file():
            yield str(pure)
        return
    plain = _ESCAPED.sub(r"\1", pattern)
    if ended and glob.escape(plain) == pattern and not (folder / plain).is_file():  # a name, and not a pattern
        yield PurePosixPath(plain).as_posix()
        return
    for found in glob.iglob(pattern, root_dir=folder, recursive=True):  # noqa: PTH207 - as W&B's SDK matches names
        if (folder / found).is_file():
            yield PurePosixPath(found).as_posix()


def _lost(name: str, reason: str) -> FileRow:
    return FileRow(
        name=name, file_id=None, size=None, md5=None, mimetype=None, updated_at=None, updated_at_text=None, object=None,
        status="failed", reason=reason,
    )  # fmt: skip
