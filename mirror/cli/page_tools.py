"""What the command line lends to the page: the words and the deeds that both have."""

from __future__ import annotations

from typing import Any

from mirror.cli.delivery.decide import dropped_entry
from mirror.cli.delivery.diff import entry_outlook
from mirror.cli.delivery.entries import entry_json, wish
from mirror.cli.report.status import read_status, status_json
from mirror.cli.setting import Setting
from mirror.outbox import OutboxReader
from mirror.web.tools import Tools


def tools_of(setting: Setting) -> Tools:
    """Of one home."""

    def drop(entry_id: str) -> str:
        entry = dropped_entry(setting, OutboxReader(setting.home).get(entry_id).entry.id)
        return f"dropped: {wish(entry.operation)} of {entry.run_path}"

    def status() -> Any:
        return status_json(read_status(setting))

    return Tools(status=status, entry=entry_json, diff=lambda entry_id: entry_outlook(setting, entry_id), drop=drop)
