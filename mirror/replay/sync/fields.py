"""What of a run itself goes upstream, as fields of `UpsertBucketInput`: decided from its log and the server's run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mirror.offline.log.run_log import RunLog
from mirror.records.runs import RunRecord
from mirror.store.read.runs import Documents, LightRun
from mirror.texts.values import parse_lenient

# Those that a script may change while it trains.
_TEXTS = {"displayName": "display_name", "notes": "notes", "groupName": "group", "jobType": "job_type"}


def fields_of_new(light: LightRun, documents: Documents) -> dict[str, Any]:
    """What a new run is made with."""
    told = {
        "displayName": light.display_name, "notes": light.notes, "groupName": light.group, "jobType": light.job_type,
        "sweep": light.sweep, "commit": light.commit, "tags": light.tags, "config": documents.config,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value}


def fields_of_old(light: LightRun, documents: Documents, seen: RunRecord) -> dict[str, Any]:
    """What a run that is there lacks of a log that was not delivered before: keys of its config, and tags."""
    fields: dict[str, Any] = {}
    if (both := _configs(documents, seen)) is not None and both[0] | both[1] != both[0]:
        fields["config"] = json.dumps(both[0] | both[1])
    return fields | _with_tags(light.tags, seen)


def changed_config(log: RunLog, documents: Documents, seen: RunRecord) -> dict[str, Any]:
    """Tags and keys of the config that the script changed; what others changed upstream since stays."""
    fields: dict[str, Any] = {}
    if (both := _configs(documents, seen)) is not None:
        theirs, ours = both
        changed = {key: at for key, at in ours.items() if log.was_in_config(key, theirs.get(key))}
        if theirs | changed != theirs:
            fields["config"] = json.dumps(theirs | changed)
    return fields | (_with_tags(log.tags, seen) if log.has_new_tags else {})


def changed_texts(log: RunLog, seen: RunRecord) -> dict[str, Any]:
    """Texts that the script changed after an earlier delivery; one that somebody changed upstream stays."""
    return {
        field: log.texts[name]
        for field, name in _TEXTS.items()
        if seen.tells(name) and (getattr(seen, name) or "") in log.earlier_texts.get(name, ())
    }


def _configs(documents: Documents, seen: RunRecord) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The server's config, and ours; None where one of them is not known."""
    ours, theirs = parse_lenient(documents.config), parse_lenient(seen.config_text)
    if isinstance(ours, dict) and isinstance(theirs, dict | None) and seen.tells("config_text"):
        return theirs or {}, ours
    return None


def _with_tags(tags: Sequence[str], seen: RunRecord) -> dict[str, Any]:
    missing = [tag for tag in tags if tag not in seen.tags]
    return {"tags": [*seen.tags, *missing]} if missing else {}
