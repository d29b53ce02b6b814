"""What `edit` is asked for: read from the command line, checked for contradictions, applied to a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from mirror.errors import ConfigError
from mirror.records.operations import TRANSITIONS, Change, Edit, Operation, UpdateState
from mirror.run.pending.changes import changed_keys
from mirror.run.run import Run
from mirror.texts.values import INTERNAL_CONFIG_KEYS


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    texts: dict[str, str]  # by attribute of a run
    added: tuple[str, ...]  # tags
    removed: tuple[str, ...]
    config: dict[str, Any]
    without: tuple[str, ...]  # keys of the config
    summary: dict[str, Any]
    summary_without: tuple[str, ...]  # keys of the summary
    state: str | None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for."""
        return not any(value not in (None, (), {}) for value in msgspec.structs.astuple(self))


def values_of(pairs: Sequence[str], flag: str) -> dict[str, Any]:
    """`k=v` by key; a value that is no JSON is a text.

    Raises:
        ConfigError: there is no `=`, no key, or a key twice.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"{flag} {pair!r} is not K=V", hint=f"such as {flag} lr=0.1, or {flag} 'layers=[64, 10]'")
        if key in values:
            raise ConfigError(f"{flag} names {key!r} twice", hint="give each key once")
        try:
            values[key] = json.loads(text)
        except (ValueError, RecursionError):
            values[key] = text
    return values


def check_wishes(wishes: Wishes) -> None:
    """Refuse what contradicts itself, or names nothing.

    Raises:
        ConfigError: it does.
    """
    for flag, names in (
        ("--add-tag", wishes.added), ("--remove-tag", wishes.removed),
        ("--config", wishes.config), ("--remove-config", wishes.without),
        ("--summary", wishes.summary), ("--remove-summary", wishes.summary_without),
    ):  # fmt: skip
        if any(not name.strip() for name in names):  # a variable of a shell that is not set
            raise ConfigError(f"{flag} names nothing: its name is empty", hint="leave it out, or give it a name")
    for what, both in (
        ("tag", set(wishes.added) & set(wishes.removed)),
        ("config key", set(wishes.config) & set(wishes.without)),
        ("summary key", set(wishes.summary) & set(wishes.summary_without)),
    ):
        if both:
            raise ConfigError(f"{what} {min(both)!r} is to be set and to be removed", hint="give one of the two")
    for key in (*wishes.config, *wishes.without):
        if key in INTERNAL_CONFIG_KEYS:
            raise ConfigError(f"{key!r} is W&B's own key of a config", hint="W&B writes it itself")


def queue_wishes(run: Run, wishes: Wishes, told: Callable[[str], object]) -> None:
    """Change a run, and queue what differs; what is so already queues nothing.

    Args:
        run: as the mirror and the outbox have it.
        wishes: what is asked for.
        told: is called with what was not there to be removed.

    Raises:
        CommError: the run does not take it; nothing was queued.
        HomeUnusable: something was not queued.
    """
    if wishes.state not in (None, run.state):  # first, for it may be refused
        run.update_state(str(wishes.state))
    for name, text in wishes.texts.items():
        setattr(run, name, text)
    tags: list[str] = list(run.tags or ())
    for tag in wishes.removed:
        if tag not in tags:
            told(f"the run has no tag {tag!r}")
    kept = [tag for tag in tags if tag not in wishes.removed]
    run.tags = [*kept, *(tag for tag in dict.fromkeys(wishes.added) if tag not in kept)]
    for what, keys, values in (
        ("config", wishes.without, wishes.config),
        ("summary", wishes.summary_without, wishes.summary),
    ):
        if not keys and not values:
            continue
        document = run.config if what == "config" else run.summary_metrics
        for key in keys:
            if key not in document:
                told(f"the {what} has no key {key!r}")
            document.pop(key, None)
        document.update(values)
    run.update()


def unseen_operations(wishes: Wishes) -> list[Operation]:
    """What is asked of a run that nobody can look at: what is there is replaced, but that tags are added and removed.

    Raises:
        ConfigError: W&B lets nobody set such a state.
    """
    if wishes.state is not None and wishes.state not in TRANSITIONS:
        raise ConfigError(f"no run can be set to {wishes.state!r}", hint=f"W&B takes {' and '.join(TRANSITIONS)}")

    def changes(wanted: Mapping[str, Any], without: Sequence[str] = ()) -> dict[Any, Change]:
        found = {**changed_keys({}, wanted), **dict.fromkeys(without, Change())}
        return {key: msgspec.structs.replace(change, unseen=True) for key, change in found.items()}

    fields = changes({("display_name" if name == "name" else name): text for name, text in wishes.texts.items()})
    if wishes.added or wishes.removed:
        fields["tags"] = Change(base=list(wishes.removed), value=list(dict.fromkeys(wishes.added)), unseen=True)
    config, summary = changes(wishes.config, wishes.without), changes(wishes.summary, wishes.summary_without)
    edit = Edit(fields=fields, config=config, summary=summary)
    state = [] if wishes.state is None else [UpdateState(state=wishes.state, base=None)]
    return [*state, *([] if edit.is_empty else [edit])]


def wanted_text(wishes: Wishes, name: str) -> str:
    """What a wish makes of something, in a few words.

    Args:
        wishes: what is asked for.
        name: as `mirror.records.operations.touched` has it: `tags`, `config.lr`, `state`, ….
    """
    if name == "tags":
        return " ".join([*(f"+{tag}" for tag in wishes.added), *(f"-{tag}" for tag in wishes.removed)])
    if name == "state":
        return f"→ {wishes.state}"
    prefix, _, key = name.partition(".")
    values = {"config": wishes.config, "summary": wishes.summary}.get(prefix, {})
    if key in values:
        return f"→ {json.dumps(values[key], ensure_ascii=False)}"
    attribute = "name" if name == "display_name" else name
    return f"→ {json.dumps(wishes.texts[attribute], ensure_ascii=False)}" if attribute in wishes.texts else "removed"
