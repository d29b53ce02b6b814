"""How the daemon logs: JSON lines for a journal or a file, readable lines on a terminal; no secrets in either."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from mirror.daemon.events import Event
from mirror.texts.visible import visible, visible_json

HIDDEN = "***"
# Signed addresses carry their permission behind the `?`; user names and passwords stand before the `@`.
_QUERY = re.compile(r"(https?://[^\s?#\"'<>]+)[?#][^\s\"'<>]+")
_USER = re.compile(r"(https?://)[^\s/@\"']+@")
_AUTHORIZATION = re.compile(r"\b(Basic|Bearer)\s+[A-Za-z0-9+/=._~-]{8,}")


class Redactor:
    """Takes secrets out of everything that is logged, as deep as it lies."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def hide(self, secrets: Iterable[str]) -> None:
        """Never let these texts out from now on."""
        self._secrets.update(secret for secret in secrets if secret)

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """A structlog processor."""
        return {self.clean(name): self.clean(value) for name, value in event.items()}

    def clean(self, value: Any) -> Any:
        """The value without secrets; what is no text, number or container becomes its repr first."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.clean(key): self.clean(one) for key, one in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.clean(one) for one in value]
        text = str(value) if isinstance(value, str) else repr(value)
        text = text.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair is no text that can be written
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _QUERY.sub(rf"\1?{HIDDEN}", text)
        text = _USER.sub(rf"\1{HIDDEN}@", text)
        return _AUTHORIZATION.sub(rf"\1 {HIDDEN}", text)


class Log:
    """Writes events of the closed list, and nothing else.

    Args:
        out: where lines go; None: standard error.
        readable: lines for people; None: on a terminal that is not a service's journal.
    """

    def __init__(self, out: TextIO | None = None, *, readable: bool | None = None) -> None:
        out = out or sys.stderr
        self.redactor = Redactor()
        if readable is None:
            readable = out.isatty() and "JOURNAL_STREAM" not in os.environ
        last: list[Any] = (
            [_visible, structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
            if readable
            else [structlog.processors.JSONRenderer(ensure_ascii=False), _visible_json]
        )
        self._log = structlog.wrap_logger(
            structlog.PrintLogger(out),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                self.redactor,
                *last,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=False,
        )

    def info(self, event: Event, **fields: Any) -> None:
        """Something went as it should."""
        self._log.info(event.value, **fields)

    def warning(self, event: Event, **fields: Any) -> None:
        """Something that the daemon lives with; a person may want to know."""
        self._log.warning(event.value, **fields)

    def alarm(self, event: Event, *, exc: BaseException | None = None, **fields: Any) -> None:
        """Something that a person should look at."""
        self._log.error(event.value, exc_info=exc, **fields)


def _visible(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: texts of others for a terminal. A traceback keeps its lines."""
    shown = {name: visible(value) if isinstance(value, str) else value for name, value in event.items()}
    if "exception" in event:
        shown["exception"] = "\n".join(map(visible, event["exception"].split("\n")))
    return shown


def _visible_json(_logger: Any, _method: str, line: str) -> str:
    return visible_json(line)
