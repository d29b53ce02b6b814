"""Over which metric a metric is drawn: what `run.define_metric("loss", step_metric="epoch")` left in the run's config.

W&B keeps definitions as a list below `_wandb.m`, whose members are numbered as in its protocol: `1` is a metric's name,
`2` a pattern that ends with `*`, `4` the name of its step metric, `5` the place of that in the list, from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from mirror.texts.steps import STEP
from mirror.texts.values import parse_lenient

_NAME, _PATTERN, _STEP_NAME, _STEP_PLACE = "1", "2", "4", "5"


class StepMetrics(msgspec.Struct, frozen=True):
    """The step metrics of a run."""

    named: Mapping[str, str] = {}  # by metric
    patterns: tuple[tuple[str, str], ...] = ()  # beginnings of names with theirs, the longest first

    def of(self, key: str) -> str | None:
        """The step metric of a key; None: W&B's own steps."""
        found = self.named.get(key)
        if found is None:
            found = next((step for begin, step in self.patterns if key.startswith(begin)), None)
        return None if found in (key, STEP) else found


NONE = StepMetrics()


def step_metrics_of(config_wire: str | None) -> StepMetrics:
    """The step metrics that a config tells of; what is of no form that W&B writes is left out.

    Args:
        config_wire: the config as the server sent it.
    """
    if config_wire is None or '"m"' not in config_wire:
        return NONE
    defined = [item if isinstance(item, dict) else {} for item in _definitions(parse_lenient(config_wire))]
    found = list(_step_metrics(defined))
    patterns = [(name[:-1], step) for name, step in found if name.endswith("*")]
    return StepMetrics(
        named={name: step for name, step in found if not name.endswith("*")},
        patterns=tuple(sorted(patterns, key=lambda item: -len(item[0]))),
    )


def _definitions(config: Any) -> list[Any]:
    own = config.get("_wandb") if isinstance(config, dict) else None
    own = own.get("value", own) if isinstance(own, dict) else None
    defined = own.get("m") if isinstance(own, dict) else None
    return defined if isinstance(defined, list) else []


def _step_metrics(defined: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Names or patterns, with their step metrics."""
    for item in defined:
        name, step, place = item.get(_NAME) or item.get(_PATTERN), item.get(_STEP_NAME), item.get(_STEP_PLACE)
        if step is None and isinstance(place, int) and 0 < place <= len(defined):
            step = defined[place - 1].get(_NAME)
        if isinstance(name, str) and isinstance(step, str) and name and step:
            yield _plain(name), _plain(step)


def _plain(name: str) -> str:
    """A name as keys of histories have it: a dot that is no border of a dictionary is written with a backslash."""
    return name.replace("\\.", ".")
