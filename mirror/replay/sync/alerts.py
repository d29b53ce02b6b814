"""Alerts of a run on their way, each at most once: a server cannot be asked which it has sent.

How many of a log are done with is in its entry, durably, before one of them is sent; and in the lake once the log is
delivered. An alert whose answer is lost counts as sent. What somebody else delivered is told by its place in the log:
an alert is sent before the rows that follow it, so that a server that has those was told.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread
import msgspec

from mirror.errors import AuthError, MirrorError, RateLimited, Unreachable
from mirror.offline.log.run_log import LoggedAlert
from mirror.records.operations import Entry, SyncRun
from mirror.replay.context import DeliveryContext

_LEVELS = frozenset({"INFO", "WARN", "ERROR"})


class AlertSender:
    """Sends the alerts of one log.

    Args:
        context: of the replay.
        entry: claimed; it remembers how many are done with.
        operation: what it asks for now.
        known: how many were sent when the log was last delivered from here; None: it never was.
        begin: rows of the log that the server has.
        is_over: whether the run had ended on the server before this delivery.
    """

    def __init__(
        self,
        context: DeliveryContext,
        entry: Entry,
        operation: SyncRun,
        *,
        known: int | None,
        begin: int,
        is_over: bool,
    ) -> None:
        self._context, self._entry = context, entry
        self.operation = operation
        self._begin = begin
        self._is_others = is_over and known is None and not operation.alerts and not operation.is_begun
        self.done = max(known or 0, operation.alerts)  # alerts from the log's beginning
        self.refused: list[str] = []  # why some were not sent

    async def send(self, alerts: Sequence[LoggedAlert]) -> None:
        """Send those that were not sent.

        Args:
            alerts: all that the log has so far, in order.

        Raises:
            MirrorError: the server is away, and did not hear of one; it is sent the next time.
            StoreError: the disk failed; nothing was sent.
        """
        while self.done < len(alerts):
            alert = alerts[self.done]
            if alert.rows < self._begin or (alert.rows == self._begin and self._is_others):
                self.done += 1
                continue
            await self._remember(self.done + 1)
            try:
                await self._context.client.alert(*self._entry.run_path, _fields(alert))
            except MirrorError as error:
                if _is_unheard(error):
                    await self._remember(self.done)
                    raise
                self.refused.append(f"the alert {alert.title!r}: {error.message}")
            self.done += 1

    async def _remember(self, done: int) -> None:
        self.operation = msgspec.structs.replace(self.operation, alerts=done)
        await anyio.to_thread.run_sync(self._context.outbox.remember, self._entry, self.operation)


def _is_unheard(error: MirrorError) -> bool:
    """Whether it is certain that the server did nothing."""
    return isinstance(error, AuthError | RateLimited) or (isinstance(error, Unreachable) and not error.answered)


def _fields(alert: LoggedAlert) -> dict[str, object]:
    """Of `NotifyScriptableRunAlertInput`, but what names the run."""
    fields: dict[str, object] = {"title": alert.title, "text": alert.text, "waitDuration": alert.wait_duration}
    return fields | ({"severity": alert.level} if alert.level in _LEVELS else {})
