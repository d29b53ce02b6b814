"""What the server was asked in ten days, kept as what the judge needs."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable

from mirror.sandbox import RequestRecord
from tests.replay.histories import has_acted

HANDS = ("h0", "h1")


class Requests:
    """Takes records in, in the order in which the server answered."""

    def __init__(self) -> None:
        self.count = 0
        self.operations: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.created: Counter[str] = Counter()  # by project and run id: runs that the server was made to make
        self.counted: defaultdict[tuple[str, str], list[int]] = defaultdict(list)  # by run and hands: values written
        self.leaks = 0  # requests to the bucket that carried the key

    def take(self, records: Iterable[RequestRecord]) -> None:
        """Take the next ones in."""
        for record in records:
            self.count += 1
            self.operations[record.operation or record.kind] += 1
            self.leaks += record.kind == "storage" and record.authorized
            if record.fault:
                self.faults[record.fault] += 1
            if record.operation == "MirrorUpsertRun" and has_acted(record):
                self._note_written(record)

    def _note_written(self, record: RequestRecord) -> None:
        given = record.variables["input"]
        if "name" in given:
            self.created[f"{given['entityName']}/{given['modelName']}/{given['name']}"] += 1
        config = json.loads(given.get("config") or "{}")
        for by in HANDS:
            if by in config and "id" in given:
                self.counted[given["id"], by].append(config[by]["value"])
