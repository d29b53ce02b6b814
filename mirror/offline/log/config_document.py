"""A run's config as W&B's server has it: each value in an envelope, and under `_wandb` what the SDK tells of itself.

Source: core/internal/runconfig, runmetric and corelib.ProtoEncodeToDict of W&B's SDK.
"""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.json_format import MessageToDict

from mirror.offline.log.messages import Record, flags_in
from mirror.offline.log.trees import Tree, put, quoted, spell

_INTERNAL = "_wandb"
_FLAGS = ("imports_init", "imports_finish", "feature", "env", "deprecated")
_SUMMARY = ("min", "max", "mean", "last", "first")


def spell_config(config: Tree, metrics: dict[str, Any], telemetry: Any, environment: Any) -> str:
    """The document as JSON text.

    Args:
        config: the tree of values.
        metrics: definitions by name, each the `Metric` that all of its records come to.
        telemetry: a `Telemetry`, merged of all.
        environment: an `Environment`, merged of all.
    """
    tree = {key: below for key, below in config.items() if key != _INTERNAL}
    told = config.get(_INTERNAL)
    internal: Tree = dict(told) if isinstance(told, dict) else {}
    for name, value in (("cli_version", telemetry.cli_version), ("python_version", telemetry.python_version)):
        if value:
            internal[name] = json.dumps(value)
    for name, value in (("t", _telemetry(telemetry)), ("m", numbered(metrics))):
        if value or name not in internal:
            internal[name] = json.dumps(value)
    if environment_dict := MessageToDict(environment):
        put(internal, ("e", environment.writer_id), json.dumps(environment_dict, ensure_ascii=False))
    values = [
        f'{quoted(key)}:{{"value":{below if isinstance(below, str) else spell(below)}}}' for key, below in tree.items()
    ]
    return "{" + ",".join([*values, f'"{_INTERNAL}":{{"value":{spell(internal)}}}']) + "}"


def _telemetry(telemetry: Any) -> dict[str, Any]:
    """Fields by their numbers; of messages of flags the numbers of those that are set."""
    found: dict[str, Any] = {}
    for field, value in telemetry.ListFields():
        if field.name in _FLAGS:
            found[str(field.number)] = flags_in(value)
        elif field.name == "label":
            found[str(field.number)] = {str(label.number): text for label, text in value.ListFields()}
        else:
            found[str(field.number)] = value
    return found


def numbered(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Metric definitions as the config lists them: fields by number, a step metric by its place, counted from one."""
    names = list(metrics)
    for metric in metrics.values():
        if metric.step_metric and metric.step_metric not in names:
            names.append(metric.step_metric)
    return [_metric(name, metrics.get(name), names) for name in names]


def _metric(name: str, metric: Any, names: list[str]) -> dict[str, Any]:
    listed: dict[str, Any] = {"2" if metric is not None and metric.glob_name else "1": name}
    if metric is None:  # the step of another one, which nobody defined
        return listed | {"6": [], "7": []}
    if metric.step_metric:
        listed["5"] = names.index(metric.step_metric) + 1
    options = metric.options
    listed["6"] = [
        number for number, is_set in ((1, options.step_sync), (2, options.hidden), (3, options.defined)) if is_set
    ]
    listed["7"] = [field.number for field, _ in metric.summary.ListFields()]
    if metric.goal:
        listed["8"] = metric.goal
    return listed


def merged_metric(before: Any | None, record: Any) -> Any:
    """A definition with what another record says of it."""
    merged = type(record)()
    if before is not None and not record.control.overwrite:
        merged.CopyFrom(before)
    merged.MergeFrom(record)
    merged.options.defined = bool(merged.name)  # a glob defines nothing by itself
    return merged


def new_telemetry() -> Any:
    """An empty `Telemetry`."""
    return Record().telemetry.__class__()


def new_environment() -> Any:
    """An empty `Environment`."""
    return Record().environment.__class__()
