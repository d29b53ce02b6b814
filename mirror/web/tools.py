"""What the page has from above: the words and the deeds that it shares with the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from mirror.outbox import Placed


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """Functions of the command line, each as its `--json` has it."""

    status: Callable[[], Any]  # what `status` tells
    entry: Callable[[Placed], dict[str, Any]]  # an entry, as `outbox` lists it
    diff: Callable[[str], Any]  # what `outbox diff ID` tells
    drop: Callable[[str], str]  # gives an entry up; what was done
