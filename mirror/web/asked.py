"""What a script of the page asks with: the parameters of an address, or a JSON body, typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec

from mirror.errors import ConfigError
from mirror.records.addresses import ProjectKey, RunPath
from mirror.typed import decode

T = TypeVar("T")


class Asked:
    """The parameters of one question.

    Args:
        values: by name, as they came.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, otherwise: str = "") -> str:
        """A parameter; what stands instead where it was not given."""
        return self._values.get(name, otherwise)

    def has(self, name: str) -> bool:
        """Whether it was given, and is not empty."""
        return bool(self._values.get(name))

    def count(self, name: str, otherwise: int, most: int) -> int:
        """A whole number from 0 to `most`.

        Raises:
            ConfigError: it is none.
        """
        text = self._values.get(name)
        if not text:
            return otherwise
        if not (text.isascii() and text.isdigit()):
            raise ConfigError(f"{name} is a whole number, not {text!r}")
        return most if len(text) > len(str(most)) else min(int(text), most)

    def number(self, name: str) -> float | None:
        """A number; None where it was not given.

        Raises:
            ConfigError: it is none.
        """
        try:
            return float(self._values[name]) if self._values.get(name) else None
        except ValueError:
            raise ConfigError(f"{name} is a number, not {self._values[name]!r}") from None

    def json(self, name: str, kind: type[T], otherwise: T) -> T:
        """A parameter that is JSON.

        Raises:
            ConfigError: it is not, or of another kind.
        """
        text = self._values.get(name)
        if not text:
            return otherwise
        try:
            return decode(text.encode("utf-8", "surrogatepass"), kind)
        except (msgspec.DecodeError, ValueError) as error:
            raise ConfigError(f"{name} is not what is expected: {error}") from None

    def project(self) -> ProjectKey:
        """The parameter `project`, `ENTITY/PROJECT`.

        Raises:
            ConfigError: it is none.
        """
        parts = self.text("project").split("/")
        if len(parts) != 2 or not all(parts):
            raise ConfigError("project is ENTITY/PROJECT")
        return ProjectKey(*map(unquote, parts))

    def run(self) -> RunPath:
        """The parameter `run`, `ENTITY/PROJECT/RUN_ID`, each encoded as in an address.

        Raises:
            ConfigError: it is none.
        """
        return run_path(self.text("run"))


def run_path(text: str) -> RunPath:
    """`ENTITY/PROJECT/RUN_ID`, each part encoded as in an address.

    Raises:
        ConfigError: it is none.
    """
    parts = text.split("/")
    if len(parts) != 3 or not all(parts):
        raise ConfigError("run is ENTITY/PROJECT/RUN_ID")
    return RunPath(*map(unquote, parts))


def body_of(content: bytes, kind: type[T]) -> T:
    """A JSON body.

    Raises:
        ConfigError: it is not what is expected.
    """
    try:
        return decode(content, kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"the request is not what is expected: {error}") from None


def object_of(value: Any) -> dict[str, Any]:
    """A value that is an object; an empty one otherwise."""
    return value if isinstance(value, dict) else {}


def exact(value: Any) -> Any:
    """A value whose integers a browser keeps to the last digit: those that no double holds are texts."""
    if isinstance(value, dict):
        return {name: exact(one) for name, one in value.items()}
    if isinstance(value, list):
        return [exact(one) for one in value]
    return str(value) if isinstance(value, int) and abs(value) > 2**53 else value
