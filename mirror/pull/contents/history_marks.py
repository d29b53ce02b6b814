"""What the server says about a history without a further request, as digests that move when the history was rewritten.

Counts and the last step stay as they are when rows are overwritten, and when a run is rewound and logs as much again.
What moves then is the table of keys: how often each type of value came, and the last number of a key. A server that
leaves that number out shows the last row in the summary.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from mirror.api.transport.signed_url import SignedUrl
from mirror.records.runs import RunRecord
from mirror.texts.values import parse_lenient

NAMES_TELL_NOTHING = "-"  # in place of a digest: this server names the same parts anew on every listing
_OF_THE_CLOCK = frozenset({"_runtime", "_timestamp", "_wandb"})  # of a summary; they move without a row


def keys_fingerprint(run: RunRecord) -> str:
    """Digest of the table of keys, the last step and the number of rows; the order of anything in it is left out."""
    table = parsed_keys(run)
    keys = table.get("keys")
    keys = keys if isinstance(keys, dict) else {}
    facts = {key: _facts(about) for key, about in keys.items()}
    last = {}
    if not any(isinstance(about, dict) and "previousValue" in about for about in keys.values()):
        summary = parse_lenient(run.summary_text)
        if isinstance(summary, dict):
            last = {key: summary[key] for key in keys if key in summary and key not in _OF_THE_CLOCK}
    return _digest([table.get("lastStep"), run.history_line_count, facts, last])


def tells_keys(run: RunRecord) -> bool:
    """Whether the server told all that the digest over the keys is made of; else that says nothing."""
    return all(map(run.tells, ("history_keys_text", "history_line_count", "summary_text")))


def parts_fingerprint(urls: Iterable[SignedUrl]) -> str:
    """Digest of the names of the parts, without the host that serves them and in any order."""
    return _digest(sorted(_path(url.part_key) for url in urls))


def parsed_keys(run: RunRecord) -> dict[str, Any]:
    """`historyKeys`; empty when nothing was logged."""
    table = parse_lenient(run.history_keys_text)
    if isinstance(table, str):  # some servers wrap it twice
        table = parse_lenient(table)
    return table if isinstance(table, dict) else {}


def contradicts(held: str | None, rows: Iterable[str]) -> bool:
    """Whether a row that is held was written again, and did not only grow.

    Args:
        held: its JSON text; None when none is held.
        rows: what the server has at its step now.
    """
    before = parse_lenient(held)
    if not isinstance(before, dict):
        return False
    return not any(_holds(parse_lenient(row), before) for row in rows)


def _holds(row: Any, before: dict[str, Any]) -> bool:
    return isinstance(row, dict) and all(key in row and _same(row[key], value) for key, value in before.items())


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) or (left != left and right != right)  # NaN equals nothing


def _facts(about: Any) -> Any:
    if not isinstance(about, dict):
        return about
    counts = about.get("typeCounts")
    if isinstance(counts, list):
        counts = sorted(json.dumps(count, sort_keys=True) for count in counts)
    return [counts, about.get("previousValue"), about.get("monotonic")]


def _path(part_key: str) -> str:
    try:
        return urlsplit(part_key).path
    except ValueError:
        return part_key


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=12).hexdigest()
