"""What the server did, told from its records: which writes it made, and in which order a key took its values."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from mirror.sandbox import Sandbox
from mirror.sandbox.recorder import RequestRecord
from tests.mirroring import ENTITY, PROJECT


def config(sandbox: Sandbox, run_id: str) -> dict[str, Any]:
    """The plain config of a run upstream."""
    wire = json.loads(sandbox.state.run(ENTITY, PROJECT, run_id).config_text or "{}")
    return {key: item["value"] for key, item in wire.items()}


def has_acted(record: RequestRecord) -> bool:
    """Whether the server did what was asked."""
    return (record.status == 200 and record.fault is None) or record.fault == "lost_answer"


def written_values(sandbox: Sandbox, storage_id: str, key: str) -> list[int]:
    """The values that a key of a run's config had in the writes that the server made, in order."""
    found = []
    for record in sandbox.requests.select("MirrorUpsertRun"):
        given = record.variables["input"]
        if has_acted(record) and given.get("id") == storage_id and given.get("config"):
            item = json.loads(given["config"]).get(key)
            found += [] if item is None else [item["value"]]
    return found


def assert_never_back(values: list[int]) -> None:
    """A key that is only counted up never goes back: nothing was out of order, and nothing took effect twice."""
    assert all(earlier <= later for earlier, later in pairwise(values)), values
