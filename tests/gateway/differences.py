"""What the SDK is answered otherwise by the gateway than by a server, and why: the judge holds it, a page shows it."""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One way in which answers differ."""

    asked: str  # as a script has it
    server: str
    gateway: str
    why: str
    calls: tuple[str, ...]  # of `calls`


_ERROR = "an error of one sentence, which names the command that would fetch it"
_KNOWS = "an error that says so"

DIFFERENCES = (
    Difference(
        "`scan_history()`, `history()`",
        "rows of the export, or of the tail",
        "a row has the keys of both",
        "a key that only an export holds is part of the row, too",
        ("scan", "scan of steps", "history", "history sampled"),
    ),
    Difference(
        "`download_history_exports()`",
        "what was exported",
        "the same; rows that no export holds yet are live ones",
        "the SDK then tells an incomplete history from a complete one",
        ("exports", "exports, if complete"),
    ),
    Difference(
        '`history(stream="system")`',
        "nothing, where the run has latest values alone",
        _ERROR,
        "an empty answer cannot be told from a lost one",
        ("system metrics",),
    ),
    Difference(
        "runs of a project that is not there",
        "`ValueError`",
        _ERROR,
        "what is not mirrored may well be on the server",
        ("runs of a missing project", "iterating a missing project"),
    ),
    Difference(
        "`artifact_exists()`, `artifact_collection_exists()`",
        "False for what is not there",
        f"True for what is mirrored, else {_ERROR}",
        "the same",
        ("whether a version exists", "whether a collection exists"),
    ),
    Difference(
        "`collection.updated_at`, `.description`, `.tags`, `.id`",
        "the collection's",
        "None, no tags, and an id of the mirror's own; `created_at` is that of the oldest version held",
        "collections are mirrored by their versions",
        ("collection's description, tags and times",),
    ),
    Difference(
        "`file.storage_path` of an artifact's files",
        "where W&B keeps the bytes",
        "None",
        "the SDK asks for it with each file; bytes lie here under their digest",
        ("where files are stored",),
    ),
    Difference(
        "`api.viewer.api_keys`",
        "ids of the user's keys",
        "none",
        "the SDK asks for it with each user; only the server knows them",
        ("the viewer's keys",),
    ),
    Difference(
        "`artifact.linked_artifacts`",
        "its links",
        _KNOWS,
        "links and registries are not mirrored",
        ("links to a version", "registries"),
    ),
    Difference(
        "`sweep.agents()`, `api.team()`, `api.users()`",
        "agents, teams and users",
        _KNOWS,
        "only the server knows them",
        ("agents of a sweep", "teams", "users"),
    ),
)

DIFFERENT = {call: difference.why for difference in DIFFERENCES for call in difference.calls}


def as_table() -> str:
    """The differences as a table of Markdown."""
    lines = ["| asked | a server | the gateway | why |", "|---|---|---|---|"]
    lines += [f"| {asked} | {server} | {gateway} | {why} |" for asked, server, gateway, why, _ in DIFFERENCES]
    return "\n".join(lines)
