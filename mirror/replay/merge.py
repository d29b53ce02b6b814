"""What to do about an edit when the server may have moved meanwhile: a three-way merge, pure functions of values.

For each field and key there are three values: the **base** that the user saw, the **wish**, and the **remote** one.
Remote equal to the wish: nothing to do. Remote equal to the base: nobody touched it, so the wish is written. Otherwise
both sides changed it, which is a conflict; but tags are sets, in which what either side added or removed stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from mirror.records.operations import Change, Edit, merged_tags
from mirror.texts.values import dump_strict

Policy = Literal["hold", "ours", "theirs"]


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the server has it, as far as an edit can change it."""

    fields: Mapping[str, Any]  # by `EditedField`
    config: Mapping[str, Any]  # the whole wire object: {key: {"value": …, "desc": …}}, W&B's own keys included
    summary: Mapping[str, Any]  # the whole document


class Clash(msgspec.Struct, frozen=True, kw_only=True):
    """One value that both sides changed."""

    item: str  # "notes", "config.lr", "summary.best"
    base: Any  # UNSET: it was not there
    wish: Any
    remote: Any

    def __str__(self) -> str:
        """In words, with the values."""
        return (
            f"{self.item} was {_shown(self.base)}, is {_shown(self.remote)} upstream, should become {_shown(self.wish)}"
        )


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What an edit comes to. `fields`, `config` and `summary` are what is to be written; whole documents, or None."""

    fields: Mapping[str, Any] = {}
    config: Mapping[str, Any] | None = None  # the whole wire object, from the remote one
    summary: Mapping[str, Any] | None = None
    config_keys: Mapping[str, Any] = {}  # of the documents what changes; null where a key is removed
    summary_keys: Mapping[str, Any] = {}
    clashes: tuple[Clash, ...] = ()  # of policy "hold": nothing may be written
    yielded: tuple[Clash, ...] = ()  # of policy "theirs": left as the server has them

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self.fields and self.config is None and self.summary is None


def merge_edit(edit: Edit, remote: Remote, policy: Policy, *, loosely: bool = False) -> Merged:
    """Merge an edit into what the server has now.

    Args:
        edit: what is wished, with its bases.
        remote: read just now: everything in it that the edit does not name is written back as it is.
        policy: what to do about values that both sides changed.
        loosely: a number is what is wished whatever its type, since a server may write 1.0 as 1.
    """
    values = {key: item["value"] if _is_pair(item) else item for key, item in remote.config.items()}
    fields = _decide(edit.fields, remote.fields, "", policy, loosely)
    config = _decide(edit.config, values, "config.", policy, loosely)
    summary = _decide(edit.summary, remote.summary, "summary.", policy, loosely)
    clashes = (*fields.clashes, *config.clashes, *summary.clashes)
    if policy == "hold" and clashes:
        return Merged(clashes=clashes)
    return Merged(
        fields=fields.write,
        config=_with_config(remote.config, config.write) if config.write else None,
        summary=_with_keys(remote.summary, summary.write) if summary.write else None,
        config_keys=_with_keys({}, config.write, removed=None),
        summary_keys=_with_keys({}, summary.write, removed=None),
        yielded=clashes if policy == "theirs" else (),
    )


class _Decided(msgspec.Struct, kw_only=True):
    write: dict[str, Any] = {}  # UNSET: remove
    clashes: tuple[Clash, ...] = ()


def _decide(
    changes: Mapping[Any, Change], remote: Mapping[str, Any], prefix: str, policy: Policy, loosely: bool
) -> _Decided:
    write: dict[str, Any] = {}
    clashes: list[Clash] = []
    for key, change in changes.items():
        now = remote.get(key, UNSET)
        wish = change.wish
        if prefix == "" and key == "tags":
            wish = merged_tags(_listed(change.base), _listed(wish), _listed(now))
            if wish != _listed(now):
                write[key] = wish
            continue
        if _same(now, wish, is_field=prefix == "", loosely=loosely):
            continue
        if _was_seen(key, change, prefix) and not _same(now, change.base, is_field=prefix == "", loosely=True):
            clashes.append(Clash(item=f"{prefix}{key}", base=change.base, wish=wish, remote=now))
            if policy != "ours":
                continue
        write[key] = wish
    return _Decided(write=write, clashes=tuple(clashes))


def _was_seen(key: str, change: Change, prefix: str) -> bool:
    """Whether a value has a base. Every run has a name; the server makes one up for a run that is made without.

    So an edit that is based on no name was made before there was one, and what nobody has seen is no base.
    """
    is_named = prefix != "" or key != "display_name" or change.base not in (UNSET, None, "")
    return is_named and change.unseen is UNSET


def _with_config(remote: Mapping[str, Any], write: Mapping[str, Any]) -> dict[str, Any]:
    """The wire object with some keys changed; a description that a key has stays."""
    whole = dict(remote)
    for key, value in write.items():
        if value is UNSET:
            whole.pop(key, None)
        else:
            before: dict[str, Any] = dict(whole[key]) if _is_pair(whole.get(key)) else {"desc": None}
            whole[key] = {**before, "value": value}
    return whole


def _with_keys(remote: Mapping[str, Any], write: Mapping[str, Any], removed: Any = UNSET) -> dict[str, Any]:
    whole = {**remote, **{key: removed if value is UNSET else value for key, value in write.items()}}
    return {key: value for key, value in whole.items() if value is not UNSET}


def _same(one: Any, other: Any, *, is_field: bool, loosely: bool) -> bool:
    """Equal JSON, whatever the order of keys.

    For a text field absent, null and empty are one: W&B cannot tell them apart when it is written. Loosely, 1 is 1.0;
    true is neither. NUL and the sign that the lake holds in its place are one.
    """
    if is_field:
        one, other = (None if value is UNSET or value == "" else value for value in (one, other))
    if one is UNSET or other is UNSET:
        return one is other
    return _canonical(one, loosely) == _canonical(other, loosely)


def _canonical(value: Any, loosely: bool) -> str:
    strict = json.loads(dump_strict(value), parse_float=_whole if loosely else None)
    return json.dumps(strict, sort_keys=True).replace(r"\u0000", r"\u2400")


def _whole(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _listed(value: Any) -> list[str]:
    return [] if value is UNSET or value is None else list(value)


def _is_pair(item: Any) -> bool:
    return isinstance(item, dict) and "value" in item


def _shown(value: Any) -> str:
    if value is UNSET:
        return "absent"
    text = dump_strict(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
