"""The reference of the configuration: each setting with its type, bounds and default from `mirror.config`, and what
`config/mirror.example.toml` says of it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from mirror.config import tables_of_file
from mirror.watch_settings import WatchSettings

EXAMPLE = Path(__file__).parents[2] / "config" / "mirror.example.toml"
# `name = value  # what it does`, in a comment or not, below its table.
_LINE = re.compile(r"^(?:# +)?(\w+) = (?:\"[^\"]*\"|\[[^\]]*\]|[^#]*?)\s*(?:# (.*))?$")

# What the example shows without a word.
_PLAIN = {
    "base_url": "address of the W&B server; `WANDB_BASE_URL` goes before it",
    "api_key": "better left to `WANDB_API_KEY`, netrc or a service manager's credential",
    "path": "`ENTITY/PROJECT`; the project may hold a glob",
    "crashes_within_minutes": "see `crashes_max`",
}


def example() -> str:
    """The whole example, as `wandb-mirror init` writes it."""
    return f"```toml\n{EXAMPLE.read_text(encoding='utf-8').rstrip()}\n```"


def settings() -> str:
    """A table of settings for each table of the file."""
    sections = []
    for table, struct in tables_of_file().items():
        title = f"[[{table}]]" if table.startswith(("source", "offline")) else f"[{table}]"
        rows = [
            f"| `{field.encode_name}` | {_type(field.type)} | {_default(field)} | {told(table, field.encode_name)} |"
            for field in msgspec.structs.fields(struct)
            if field.type != tuple[WatchSettings, ...]
        ]
        head = ["| setting | type | default | meaning |", "|---|---|---|---|"]
        doc = " ".join((struct.__doc__ or "").split())
        sections += [f"## `{title}`", doc, "\n".join([*head, *rows])]
    return "\n\n".join(sections)


def told(table: str, name: str) -> str:
    """What the example says of a setting."""
    current = ""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"^(?:# )?\[+([\w.]+)\]+$", line):
            current = heading[1]
        elif current == table and (match := _LINE.match(line)) and match[1] == name:
            return (match[2] or _PLAIN.get(name, "")).replace("|", "\\|").replace("*", "\\*")
    return _PLAIN.get(name, "")


def _type(kind: Any) -> str:
    """A type for people, with its bounds."""
    bounds = [meta for meta in getattr(kind, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]
    limits = [
        f"{sign} {value:,.10g}"
        for meta in bounds
        for sign, value in ((">", meta.gt), ("≥", meta.ge), ("<", meta.lt), ("≤", meta.le))
        if value is not None
    ]
    schema = msgspec.json.schema(kind)
    names = {
        "number": "number",
        "integer": "whole number",
        "string": "text",
        "boolean": "true or false",
        "array": "list",
    }
    of = [schema] if "anyOf" not in schema else [one for one in schema["anyOf"] if one.get("type") != "null"]
    choices = [json.dumps(choice) for one in of for choice in one.get("enum", ())]
    name = " or ".join(f"`{choice}`" for choice in choices) or " or ".join(names[one["type"]] for one in of)
    for one in of:
        pairs = (">", "exclusiveMinimum"), ("≥", "minimum"), ("<", "exclusiveMaximum"), ("≤", "maximum")
        limits = limits or [f"{sign} {one[key]:,.10g}" for sign, key in pairs if key in one]
    return f"{name} {', '.join(limits)}".strip()


def _default(field: Any) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT:
        return ""
    return "none" if value is None else f"`{json.dumps(value)}`"
