"""A process of the mirror's user that queues: `python -m tests.daemon.soak.hands HOME`; JSON lines in, JSON lines out.

For each command it says what was acknowledged, by the ids under which the outbox took it, or why nothing was.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from mirror.errors import CommError, RunNotFoundError
from mirror.layout import Home
from mirror.outbox import Outbox
from mirror.records.addresses import RunPath
from mirror.records.operations import Entry, Operation
from mirror.run.api import Api


class NotingOutbox(Outbox):
    """Remembers under which ids it took what."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.taken: list[str] = []

    def put(self, run_path: RunPath, storage_id: str | None, operation: Operation) -> Entry:
        """As its base does."""
        entry = super().put(run_path, storage_id, operation)
        self.taken.append(entry.folded[-1] if entry.folded else entry.id)
        return entry


def main() -> None:
    """Until the input ends."""
    home = Home(Path(sys.argv[1]))
    outbox = NotingOutbox(home)
    api = Api(home)
    api._local.outbox = outbox
    for line in sys.stdin:
        command = json.loads(line)
        api.flush()
        outbox.taken.clear()
        refused = None
        try:
            _do(api, command)
        except (RunNotFoundError, CommError) as error:
            refused = str(error)
        print(json.dumps({"taken": outbox.taken, "refused": refused}), flush=True)


def _do(api: Api, command: dict[str, Any]) -> None:
    kind, number = command["kind"], command["number"]
    entity, project, run_id = command["run"]
    if kind == "create":
        api.create_run(run_id=run_id, project=project, entity=entity)
        return
    run = api.run(f"{entity}/{project}/{run_id}")
    if kind == "tag":
        run.tags = [*run.tags, f"t{number}"]
    elif kind == "config":
        run.config[f"c{number}"] = number
    elif kind == "count":
        run.config[command["by"]] = (run.config.get(command["by"]) or 0) + 1
    elif kind == "shared":
        run.config["lr"] = number
    elif kind == "notes":
        run.notes = f"ours {number}"
    elif kind == "summary":
        run.summary.update({f"s{number}": number})
    elif kind == "state":
        run.update_state(command["state"])
    elif kind == "upload":
        _upload(run, command)
    elif kind == "delete":
        run.delete()
    if kind in {"tag", "config", "count", "shared", "notes"}:
        run.update()


def _upload(run: Any, command: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, command["name"])
        path.write_bytes(content_of(command["number"]))
        run.upload_file(str(path), root=folder)


def content_of(number: int) -> bytes:
    """The bytes of an upload."""
    return f"upload {number}\n".encode() * (1 + number % 50)


if __name__ == "__main__":
    main()
