"""What a sweep's configuration asks for: how many runs, and the parameters of the next one. Functions of values.

A grid is walked in the order of its parameters; everything else is drawn at random, a Bayesian search too, since a
client can not tell what a server learnt from earlier runs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import yaml

Parameters = dict[str, Any]


def parse_config(text: str) -> dict[str, Any]:
    """The configuration of a sweep, which is YAML or JSON; {} when it does not parse or is no object."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return value if isinstance(value, dict) else {}


def expected_runs(config: Mapping[str, Any]) -> int | None:
    """How many runs there will be: the points of a grid, at most `run_cap`; None when nothing bounds them."""
    cap = config.get("run_cap")
    cap = cap if isinstance(cap, int) else None
    if config.get("method") != "grid":
        return cap
    count = _grid_size(config.get("parameters") or {})
    return count if cap is None else min(count, cap)


def next_parameters(config: Mapping[str, Any], given: int, source: random.Random) -> Parameters | None:
    """Parameters of the run after `given` ones, nested as in the configuration; None when there is none left."""
    limit = expected_runs(config)
    if limit is not None and given >= limit:
        return None
    parameters = config.get("parameters") or {}
    if config.get("method") == "grid":
        return _grid_point(parameters, given)
    return _draw_all(parameters, source)


def _choices(specification: Any) -> list[Any]:
    """The values of one parameter of a grid."""
    if not isinstance(specification, Mapping):
        return [specification]
    if "value" in specification:
        return [specification["value"]]
    if "values" in specification:
        return list(specification["values"])
    low, high = specification.get("min"), specification.get("max")
    if isinstance(low, int) and isinstance(high, int):
        return list(range(low, high + 1, int(specification.get("q") or 1)))
    return [low]


def _grid_size(parameters: Mapping[str, Any]) -> int:
    return math.prod(_grid_sizes(parameters))


def _grid_sizes(parameters: Mapping[str, Any]) -> list[int]:
    return [
        _grid_size(item["parameters"]) if isinstance(item, Mapping) and "parameters" in item else len(_choices(item))
        for item in parameters.values()
    ]


def _grid_point(parameters: Mapping[str, Any], index: int) -> Parameters:
    """The grid's point of that index; the last parameter moves first."""
    point: Parameters = {}
    for (name, item), size in reversed(list(zip(parameters.items(), _grid_sizes(parameters), strict=True))):
        index, here = divmod(index, size)
        nested = isinstance(item, Mapping) and "parameters" in item
        point[name] = _grid_point(item["parameters"], here) if nested else _choices(item)[here]
    return dict(reversed(point.items()))


def _draw_all(parameters: Mapping[str, Any], source: random.Random) -> Parameters:
    return {name: _draw(item, source) for name, item in parameters.items()}


def _draw(item: Any, source: random.Random) -> Any:
    if not isinstance(item, Mapping):
        return item
    if "parameters" in item:
        return _draw_all(item["parameters"], source)
    if "value" in item:
        return item["value"]
    if "values" in item:
        return source.choices(list(item["values"]), weights=item.get("probabilities"))[0]
    kind = str(item.get("distribution") or _implied(item))
    quantised = kind.startswith("q_")
    distribution: _Distribution = _DISTRIBUTIONS.get(kind.removeprefix("q_"), _uniform)
    value = distribution(item, source)
    if not quantised:
        return value
    step = item.get("q") or 1
    rounded = round(value / step) * step
    return int(rounded) if float(step).is_integer() else rounded


def _implied(item: Mapping[str, Any]) -> str:
    return "int_uniform" if isinstance(item.get("min"), int) and isinstance(item.get("max"), int) else "uniform"


def _uniform(item: Mapping[str, Any], source: random.Random) -> float:
    return source.uniform(float(item.get("min", 0)), float(item.get("max", 1)))


def _log_values(item: Mapping[str, Any], source: random.Random) -> float:
    return math.exp(source.uniform(math.log(float(item["min"])), math.log(float(item["max"]))))


_Distribution = Callable[[Mapping[str, Any], random.Random], Any]

_DISTRIBUTIONS: dict[str, _Distribution] = {
    "uniform": _uniform,
    "int_uniform": lambda item, source: source.randint(int(item["min"]), int(item["max"])),
    "normal": lambda item, source: source.gauss(float(item.get("mu", 0)), float(item.get("sigma", 1))),
    "log_normal": lambda item, source: math.exp(source.gauss(float(item.get("mu", 0)), float(item.get("sigma", 1)))),
    "log_uniform": lambda item, source: math.exp(_uniform(item, source)),
    "log_uniform_values": _log_values,
    "inv_log_uniform_values": lambda item, source: 1 / _log_values(item, source),
    "beta": lambda item, source: source.betavariate(float(item.get("a", 1)), float(item.get("b", 1))),
}


def arguments(parameters: Parameters) -> dict[str, Any]:
    """Parameters as an agent's command carries them, and as a run's config does: in W&B's envelope."""
    return {name: {"value": value, "desc": None} for name, value in parameters.items()}


def goal(config: Mapping[str, Any]) -> tuple[str, Callable[..., Any]]:
    """The metric that the sweep optimises, and which of its values is the best (min or max)."""
    metric = config.get("metric")
    if not isinstance(metric, Mapping) or not metric.get("name"):
        return "loss", min
    return str(metric["name"]), max if metric.get("goal") == "maximize" else min
