"""A log that we write ourselves: of a run whose process trains against the gateway, as the SDK writes one offline.

So there is one way from a training into the lake and to a server, whoever wrote the log. What the process was told is
taken is on the disk: each call returns after its records are flushed. Lines carry their numbers, so that a request
that is sent again adds nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from mirror.durable import make_folder, sync_descriptor, sync_folder, write_replace, write_stream
from mirror.layout import Home
from mirror.offline.copies import identify
from mirror.offline.log.console import GAP
from mirror.offline.log.framing import Frame, framed, read_frames
from mirror.offline.log.messages import Record
from mirror.offline.log.run_log import RunLog
from mirror.records.addresses import RunPath
from mirror.store.engine.connection import store_errors
from mirror.texts.values import parse_lenient
from mirror.typed import decode

HISTORY, EVENTS, SUMMARY, CONSOLE = "wandb-history.jsonl", "wandb-events.jsonl", "wandb-summary.json", "output.log"
MOST_LINES = 2**31 - 1  # of a file of a run
_LOG, _FACTS = "run.wandb", "recording.json"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """Whose recording it is, and how many lines the run had before it."""

    entity: str
    project: str
    run_id: str
    history: int = 0
    events: int = 0
    console: int = 0

    @property
    def run_path(self) -> RunPath:
        """Entity, project, run id."""
        return RunPath(self.entity, self.project, self.run_id)


class Recording:
    """One session of one run. Its methods may be called from any thread.

    Args:
        home: that keeps it.
        folder: of the recording; there already.
        begun: whose it is.
    """

    def __init__(self, home: Home, folder: Path, begun: Begun) -> None:
        self.folder, self.begun = folder, begun
        self.path, self.files = folder / _LOG, folder / "files"
        self._home = home
        self._writing = threading.Lock()
        self._known = RunLog()  # what the log says so far
        self._size = 0
        self._documents: dict[str, dict[str, str]] = {"config": {}, "summary": {}}  # values by key, as JSON
        self._texts: dict[str, Any] = {}
        if self.path.exists():
            self._read()

    @property
    def log(self) -> str | None:
        """The digest by which the log is known; None before its first record."""
        found = identify(self.path) if self._size else None
        return None if found is None else found[0]

    @property
    def has_rows(self) -> bool:
        """Whether anything was logged."""
        return bool(self._known.rows or self._known.event_rows)

    @property
    def goes_on(self) -> bool:
        """Whether more may be recorded: the process did not say that it is over, and nobody removed the folder."""
        return not self._known.has_exit and self.folder.exists()

    def touch(self) -> None:
        """Note that the process is alive, though it has nothing to log."""
        with contextlib.suppress(OSError):  # nothing was recorded yet
            os.utime(self.path)

    def write_run(self, given: Mapping[str, Any]) -> None:
        """Take what `upsertBucket` says of the run: its texts, its tags, its config.

        Raises:
            StoreError: the disk is full or failing; nothing is taken.
        """
        with self._writing:
            texts = {name: given[field] for field, name in _TEXTS.items() if given.get(field)}
            tags = [tag for tag in given.get("tags") or () if tag is not None]
            records = []
            if not self._size or ((texts or tags) and texts | {"tags": tags} != self._texts):
                self._texts = texts | {"tags": tags}
                records.append(self._run(texts, tags, given.get("commit")))
            config = parse_lenient(given.get("config"))
            if isinstance(config, dict):
                records += self._document("config", {key: _value(at) for key, at in config.items()})
            self._append(records)

    def write_lines(self, files: Mapping[str, Any]) -> None:
        """Take the files of one request of a file stream.

        Raises:
            ValueError, AttributeError, TypeError: they are none; nothing is taken.
            StoreError: the disk is full or failing; nothing is taken, and the same may come again.
        """
        with self._writing:
            records: list[Any] = []
            for name, chunk in files.items():
                offset, lines = _lines(chunk)
                if name == HISTORY:
                    records += map(_row, lines[max(0, self.begun.history + self._known.rows - offset) :])
                elif name == EVENTS:
                    records += map(_event, lines[max(0, self.begun.events + self._known.event_rows - offset) :])
                elif name == CONSOLE:
                    if offset > self.begun.console + self._known.console_lines + GAP:
                        raise ValueError("a line is numbered far beyond the last one")
                    records += [_line(offset + at - self.begun.console, line) for at, line in enumerate(lines)]
                elif name == SUMMARY and lines and isinstance(summary := parse_lenient(lines[-1]), dict):
                    records += self._document("summary", summary)
            self._append(records)

    def save(self, name: str, content: BinaryIO) -> None:
        """Take a file of the run.

        Args:
            name: a slash path that leads out of no folder, checked before.
            content: read to its end; what it raises is raised, and nothing is taken.

        Raises:
            StoreError: the disk is full or failing.
        """
        with store_errors(self._home):
            target = self.files / name
            make_folder(target.parent)
            write_stream(target, content)
        record = Record()
        record.files.files.add(path=name)
        with self._writing:
            self._append([record])

    def stage(self, version: str, name: str, content: BinaryIO) -> Path:
        """Take a file of a version that the run will log; where it lies then. Arguments and errors as for `save`."""
        target = self.folder / "staging" / hashlib.sha256(f"{version}/{name}".encode(errors="replace")).hexdigest()
        with store_errors(self._home):
            make_folder(target.parent)
            write_stream(target, content)
        return target

    def write_artifact(self, fill: Any) -> None:
        """Note a version; `fill` is given the message to fill."""
        record = Record()
        fill(record.artifact)
        with self._writing:
            self._append([record])

    def write_end(self, exit_code: int, *, preempting: bool) -> None:
        """Note the end of the session."""
        with self._writing:
            if self._known.has_exit:
                return
            records = [Record(), Record()] if preempting else [Record()]
            if preempting:
                records[0].preempting.SetInParent()
            records[-1].exit.exit_code = exit_code
            self._append(records)

    def _run(self, texts: Mapping[str, str], tags: list[str], commit: str | None) -> Any:
        record = Record()
        run = record.run
        run.entity, run.project, run.run_id = self.begun.run_path
        if not self._size:
            now = time.time_ns()
            run.start_time.seconds, run.start_time.nanos = divmod(now, 10**9)
        for name, text in texts.items():
            setattr(run, name, text)
        run.tags.extend(tags)
        if commit:
            run.git.commit = commit
        return record

    def _document(self, name: str, values: Mapping[str, Any]) -> list[Any]:
        """What of a document is new, changed or gone."""
        spelled = {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
        before, self._documents[name] = self._documents[name], spelled
        record = Record()
        changes = getattr(record, name)
        for key, text in spelled.items():
            if before.get(key) != text:
                changes.update.add(key=key, value_json=text)
        for key in before.keys() - spelled.keys():
            changes.remove.add(key=key)
        return [record] if changes.update or changes.remove else []

    def _append(self, records: Iterable[Any]) -> None:
        """Write records behind the others, durably."""
        contents = [record.SerializeToString() for record in records]
        if not contents:
            return
        with store_errors(self._home), self.path.open("r+b" if self.path.exists() else "xb") as file:
            file.truncate(self._size)  # what a failure left behind the last whole record
            file.seek(self._size)
            for piece in framed(contents, self._size):
                file.write(piece)
            file.flush()
            sync_descriptor(file.fileno())
            self._size = file.tell()
        for content in contents:
            self._known.take(content)
        self._known.drain()

    def _read(self) -> None:
        """Go on where the log ends."""
        with store_errors(self._home), self.path.open("rb") as file:
            for frame in read_frames(file, is_whole=False):
                if isinstance(frame, Frame):
                    self._known.take(frame.content)
                    self._known.drain()
                self._size = frame.end


def begin(home: Home, begun: Begun) -> Recording:
    """A new recording.

    Raises:
        StoreError: the disk is full or failing.
    """
    with store_errors(home):
        root = home.recordings
        taken = [int(folder.name.rpartition("-")[2]) for folder in root.glob(f"{_tag(begun.run_path)}-*")]
        number = max(taken, default=-1) + 1  # earlier ones may be delivered and removed
        folder = root / f"{_tag(begun.run_path)}-{number:04}"
        make_folder(folder / "files")
        write_replace(folder / _FACTS, msgspec.json.encode(begun))
        sync_folder(root)
    return Recording(home, folder, begun)


def last_recording(home: Home, path: RunPath) -> Recording | None:
    """The last recording of a run, to go on with; None when there is none.

    Raises:
        StoreError: it cannot be read.
    """
    for folder in sorted(home.recordings.glob(f"{_tag(path)}-*"), reverse=True):
        try:
            begun = decode((folder / _FACTS).read_bytes(), Begun)
        except (OSError, msgspec.DecodeError):
            continue
        return Recording(home, folder, begun)
    return None


def recorded_logs(home: Home, path: RunPath) -> list[Path]:
    """The logs of the sessions of a run that are in the home."""
    return [log for folder in home.recordings.glob(f"{_tag(path)}-*") if (log := folder / _LOG).exists()]


def _tag(path: RunPath) -> str:
    return hashlib.sha256(os.fsencode(str(path))).hexdigest()[:16]


# Fields of `upsertBucket` and those of a log's `Run`.
_TEXTS = {
    "displayName": "display_name",
    "notes": "notes",
    "groupName": "run_group",
    "jobType": "job_type",
    "sweep": "sweep_id",
    "host": "host",
}


def _value(enveloped: Any) -> Any:
    """A value of a config, without W&B's envelope."""
    return enveloped["value"] if isinstance(enveloped, dict) and "value" in enveloped else enveloped


def _lines(chunk: Any) -> tuple[int, list[str]]:
    """The number of the first line, and the lines, of a part of a file."""
    offset, content = chunk.get("offset") or 0, chunk.get("content")
    if not isinstance(offset, int) or not 0 <= offset <= MOST_LINES or not isinstance(content, list):
        raise ValueError("a part of a file has an offset and lines")
    return offset, [str(line) for line in content]


def _object(line: str) -> dict[str, Any]:
    row = parse_lenient(line)
    if not isinstance(row, dict):
        raise ValueError("a row is an object")  # noqa: TRY004 - whoever asked sent a wrong value
    return row


def _row(line: str) -> Any:
    """A row of a history."""
    row = _object(line)
    record = Record()
    for key, value in row.items():
        record.history.item.add(nested_key=[key], value_json=json.dumps(value, ensure_ascii=False))
    return record


def _event(line: str) -> Any:
    """A row of system metrics."""
    row = _object(line)
    record = Record()
    at = row.get("_timestamp")
    if isinstance(at, int | float):
        record.stats.timestamp.seconds, record.stats.timestamp.nanos = divmod(round(at * 1e9), 10**9)
    for key, value in row.items():
        if key.startswith("system."):
            record.stats.item.add(key=key.removeprefix("system."), value_json=json.dumps(value, ensure_ascii=False))
    return record


def _line(number: int, line: str) -> Any:
    """A line of the console, by its number; structured as the SDK spells it for servers that take that, or plain."""
    told = parse_lenient(line)
    if not isinstance(told, dict) or "content" not in told:
        told = {"content": line}
    record = Record()
    output = record.output_logger
    output.line, output.numbered, output.number = str(told["content"]), True, max(0, number)
    output.level, output.at = str(told.get("level") or ""), str(told.get("ts") or "")
    return record
