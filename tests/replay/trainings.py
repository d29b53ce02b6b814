"""Runs that were trained offline, written as the SDK writes them: records of W&B's in the frames of a log."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

from mirror.offline.adding import OfflineRuns
from mirror.offline.log.framing import BLOCK, HEADER
from mirror.offline.log.messages import Record
from mirror.offline.wanted import Wanted
from mirror.records.offline import OfflineLog
from tests.mirroring import ENTITY, PROJECT, lake_of, make_lake
from tests.replaying import Sender

BEGAN = 1_790_000_000  # seconds since the epoch


class Training:
    """One folder of the SDK's, and the log in it.

    Args:
        root: where the folder goes.
        run_id: of the run.
        began: seconds since the epoch.
        branch: run and step at which it begins.
    """

    def __init__(
        self,
        root: Path,
        run_id: str = "r1",
        *,
        began: int = BEGAN,
        tags: tuple[str, ...] = (),
        branch: tuple[str, int] | None = None,
        **names: Any,
    ) -> None:
        self.folder = root / f"offline-run-{began}-{run_id}"
        self.files = self.folder / "files"
        self.files.mkdir(parents=True)
        self.path = self.folder / f"run-{run_id}.wandb"
        self.path.write_bytes(HEADER)
        self._began, self._steps, self._lines = began, 0, 0
        record = Record()
        run = record.run
        run.run_id, run.entity, run.project = run_id, ENTITY, PROJECT
        for name, value in names.items():
            setattr(run, name, value)
        run.tags.extend(tags)
        run.start_time.seconds = began
        if branch is not None:
            run.branch_point.run, run.branch_point.value = branch
            run.branch_point.metric = "_step"
        self._config(run.config, lr="0.1", model='{"depth":2}')
        self.write(record)

    def describe(self, **names: str) -> None:
        """Texts that the script changes while it trains."""
        record = Record()
        for name, value in names.items():
            setattr(record.run, name, value)
        self.write(record)

    def configure(self, **values: str) -> None:
        """Keys of the config that the script sets while it trains, as JSON."""
        record = Record()
        self._config(record.config, **values)
        self.write(record)

    def log(self, count: int, *, step: int | None = None) -> None:
        """So many rows."""
        self._steps = self._steps if step is None else step
        for _ in range(count):
            history, summary = Record(), Record()
            history.history.step.num = self._steps
            row = {
                "loss": f"{1 / (self._steps + 1)!r}", "_step": str(self._steps),
                "_timestamp": f"{self._began + self._steps + 0.25}",
            }  # fmt: skip
            for key, value in row.items():
                history.history.item.add(nested_key=[key], value_json=value)
                summary.summary.update.add(nested_key=[key], value_json=value)
            self.write(summary)
            self.write(history)
            self._steps += 1

    def print(self, text: str) -> None:
        """Lines on standard output."""
        record = Record()
        record.output_raw.output_type, record.output_raw.line = 1, text
        record.output_raw.timestamp.seconds = self._began + self._lines
        self._lines += 1
        self.write(record)

    def measure(self, count: int = 1) -> None:
        """Rows of system metrics."""
        for number in range(count):
            record = Record()
            record.stats.timestamp.seconds = self._began + self._steps + number
            record.stats.item.add(key="cpu", value_json=str(number))
            self.write(record)

    def save(self, name: str, content: bytes) -> None:
        """A file of the run."""
        (self.files / name).parent.mkdir(parents=True, exist_ok=True)
        (self.files / name).write_bytes(content)
        record = Record()
        record.files.files.add(path=name)
        self.write(record)

    def log_artifact(self, name: str, files: dict[str, bytes], *aliases: str, in_file: bool = False) -> None:
        """A new version; its entries in the log, or in a file, as the SDK has those of a large one."""
        record = Record()
        artifact = record.artifact
        artifact.name, artifact.type, artifact.client_id = name, "model", f"client-{name}"
        artifact.aliases.extend((*aliases, "latest"))
        digest = hashlib.md5(b"wandb-artifact-manifest-v1\n", usedforsecurity=False)
        entries: list[dict[str, Any]] = []
        for path, content in sorted(files.items()):
            place = self.folder / "staging" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
            entries.append({"path": path, "digest": md5, "size": len(content), "local_path": str(place)})
            digest.update(f"{path}:{md5}\n".encode())
        artifact.digest = digest.hexdigest()
        if in_file:
            listing = self.folder / "staging" / f"{name}.jl.gz"
            with gzip.open(listing, "wt") as file:
                file.writelines(f"{json.dumps(entry)}\n" for entry in entries)
            artifact.manifest.manifest_file_path = str(listing)
        else:
            for entry in entries:
                artifact.manifest.contents.add(**entry)
        self.write(record)

    def alert(self, title: str, *, text: str = "", level: str = "INFO", wait_duration: int = 0) -> None:
        """What the script tells of itself to whoever watches it."""
        record = Record()
        record.alert.title, record.alert.text = title, text
        record.alert.level, record.alert.wait_duration = level, wait_duration
        self.write(record)

    def finish(self, exit_code: int = 0) -> None:
        """The end of the run."""
        record = Record()
        record.exit.exit_code = exit_code
        self.write(record)

    def write(self, record: Any) -> None:
        """Append one record."""
        content = record.SerializeToString()
        at = self.path.stat().st_size
        with self.path.open("ab") as file:
            is_first = True
            while is_first or content:
                left = BLOCK - at % BLOCK
                if left < 7:
                    file.write(b"\0" * left)
                    at, left = at + left, BLOCK
                part, content = content[: left - 7], content[left - 7 :]
                kind = (1 if not content else 2) if is_first else (4 if not content else 3)
                check = zlib.crc32(part, zlib.crc32(bytes([kind])))
                file.write(struct.pack("<IHB", check, len(part), kind) + part)
                at, is_first = at + 7 + len(part), False

    @staticmethod
    def _config(changes: Any, **values: str) -> None:
        for key, value in values.items():
            changes.update.add(key=key, value_json=value)


def add(sender: Sender, *places: Path, **wanted: Any) -> list[OfflineLog]:
    """Take in what is below some folders, as `wandb-mirror add` does."""
    from mirror.api.transport.deployment import deployment_of

    deployment = deployment_of(sender.url)
    make_lake(sender.home, deployment)
    with lake_of(sender.home, deployment) as lake:
        runs = OfflineRuns(lake, sender.outbox, now=sender.now)
        found = runs.candidates(Wanted(paths=tuple(map(str, places)), **wanted))
        return [runs.take(candidate) for candidate in found if candidate.row is not None]
