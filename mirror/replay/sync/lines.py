"""The lines of a run on their way: bodies of bounded size, in order, not faster than W&B takes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
import msgspec

from mirror.api.client import Client
from mirror.records.addresses import RunPath
from mirror.records.console import ConsoleLine
from mirror.texts.values import valid_unicode

HISTORY, EVENTS, SUMMARY, CONSOLE = "wandb-history.jsonl", "wandb-events.jsonl", "wandb-summary.json", "output.log"
MOST_CHARACTERS = 4_000_000  # of lines in a request, where a single line is not longer; the SDK takes 10 MB
SECONDS_BETWEEN = 0.5  # W&B takes two requests a second for a run


class LineSender:
    """Sends the lines of one run.

    Args:
        client: of the server.
        path: of the run.
        features: of the server.
    """

    def __init__(self, client: Client, path: RunPath, features: frozenset[str]) -> None:
        self._client, self._path = client, path
        self._is_structured = "STRUCTURED_CONSOLE_LOGS" in features
        self._is_compressed = "FILESTREAM_GZIP" in features
        self._next_at = 0.0
        self._files: dict[str, dict[str, Any]] = {}  # what the next request will have
        self._size = 0

    async def rows(self, name: str, offset: int, lines: Iterable[str]) -> None:
        """Send lines of a file, the first of which has this number there; what is little waits for the next request."""
        content: list[str] | None = None
        for line in lines:
            if content is None or (content and self._size + len(line) > MOST_CHARACTERS):
                content = await self._content(name, offset, len(line))
            content.append(valid_unicode(line))
            self._size += len(line)
            offset += 1

    async def _content(self, name: str, offset: int, size: int) -> list[str]:
        """Where a line of so many characters goes, after what waits was sent if it does not fit to that."""
        waits = self._files.get(name)
        if self._files and (self._size + size > MOST_CHARACTERS or _end_of(waits, offset) != offset):
            await self.flush()
        content: list[str] = self._files.setdefault(name, {"offset": offset, "content": []})["content"]
        return content

    async def console(self, lines: Iterable[ConsoleLine], offset: int) -> None:
        """Send lines of the console; a line that was sent before is written over.

        Args:
            lines: by number; of each the last form.
            offset: added to their numbers.
        """
        for line in lines:
            await self.rows(CONSOLE, line.number + offset, [self._spelled(line)])

    async def flush(self) -> None:
        """Send what waits.

        Raises:
            MirrorError: of the network or the server; sending it again does no harm.
        """
        files, self._files, self._size = self._files, {}, 0
        if files:
            await self._send({"files": files})

    async def end(self, summary: str, **more: Any) -> None:
        """Send what waits, the summary, and what else there is: `uploaded`, `complete`, `exitcode`, `preempting`.

        Raises:
            MirrorError: as `flush`.
        """
        await self.rows(SUMMARY, 0, [summary])
        files, self._files, self._size = self._files, {}, 0
        await self._send({"files": files, **more})

    async def _send(self, body: dict[str, Any]) -> None:
        """Send one request, when it is time."""
        now = anyio.current_time()
        if now < self._next_at:
            await anyio.sleep(self._next_at - now)
        self._next_at = anyio.current_time() + SECONDS_BETWEEN
        await self._client.stream(*self._path, body, compressed=self._is_compressed)

    def _spelled(self, line: ConsoleLine) -> str:
        """As W&B's SDK spells a line, for servers of either age."""
        if not self._is_structured:
            return f"{'ERROR ' if line.level else ''}{line.at_text or ''} {line.line}"
        told = {"level": line.level, "ts": line.at_text or "", "label": line.label, "content": line.line}
        shown = {name: valid_unicode(text) for name, text in told.items() if text or name in ("ts", "content")}
        return msgspec.json.encode(shown).decode()


def _end_of(file: dict[str, Any] | None, otherwise: int) -> int:
    """The number behind the last line of a file that waits."""
    return otherwise if file is None else file["offset"] + len(file["content"])
