"""Which clients are judged, and what each is told to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ENTITY, PROJECT = "clients-team", "local proj"
PATH = f"{ENTITY}/{PROJECT}"
SWEEP = "sw1"


class Client(NamedTuple):
    """One client.

    Attributes:
        name: as people know it.
        packages: that pip installs for it.
        commands: what is run, in a folder of its own; the first word is a program of the client's environment.
        refused: whether the gateway is to refuse it; else its outputs are those that it has at the server.
        result: what the page says of it.
    """

    name: str
    packages: Sequence[str]
    commands: Sequence[Sequence[str]]
    result: str
    refused: str = ""


_SDK = [["python", "{here}/sdk_probe.py", PATH]]
_ARCHIVE = """\
source: {entity: clients-team, base_url: "%s", projects: {include: ["local proj"]}}
destination: {type: local, path: out}
archive: {security: {profile: private}, include: {logged_artifacts: all, used_artifacts: all, console_logs: true}}
"""
_READS = "runs, filters, config, summary, histories sampled and whole, system metrics, files, artifacts, sweeps"

CLIENTS: tuple[Client, ...] = (
    Client("wandb 0.31", ["wandb==0.31.0"], _SDK, f"all: {_READS}"),
    Client("wandb 0.28", ["wandb==0.28.*"], _SDK, f"all: {_READS}"),
    Client("wandb 0.22", ["wandb==0.22.*", "pandas"], _SDK, f"all: {_READS}"),
    Client(
        "wandb-archive",
        ["wandb-archive"],
        [["sh", "-c", 'printf "$ARCHIVE" "$WANDB_BASE_URL" > c.yaml'], ["wandb-archive", "backup", "c.yaml"]],
        "`backup`: runs, histories, files and artifacts",
    ),
    Client(
        "wandb-to-mlflow",
        ["wandb-to-mlflow"],
        [
            [
                *("wandb-to-mlflow", "migrate", "-e", ENTITY, "-p", PROJECT, "--artifacts", "true", "--files", "true"),
                *("--system-metrics", "true", "--tracking-uri", "sqlite:///ml.db", "--artifact-root", "artifacts"),
            ]
        ],
        "`migrate` with files, artifacts and system metrics",
    ),
    Client(
        "`wandb sync` of an offline run",
        ["wandb==0.31.0"],
        [["python", "{here}/offline_run.py", ENTITY], ["sh", "-c", "wandb sync wandb/offline-run-* 2>&1"]],
        "refused in one sentence: a new training run needs the server",
        refused="is not possible here",
    ),
    Client(
        "wandb-workspaces",
        ["wandb-workspaces"],
        [["python", "{here}/workspaces_probe.py", PATH]],
        "refused in one sentence: workspaces and reports are not mirrored",
        refused="not mirrored, only the W&B server has them",
    ),
)
MORE = (
    (
        "Lightning's `WandbLogger.download_artifact`",
        "reading it",
        "`Api().artifact(…).download(…)`, as above",
    ),
    ("`wandb leet RUN` (of 0.31)", "by hand", "a run's charts, system metrics, console and summary"),
    (
        "wandb-tui 0.3",
        "its documents",
        "projects, runs and charts; its list of entities asks for fields that are not in the schema",
    ),
    (
        "wandb-mcp-server",
        "its documents",
        "runs by id, name, filter and order, history keys, artifacts; `Project.description` is not mirrored",
    ),
)
ARCHIVE = _ARCHIVE


def as_table() -> str:
    """What works, as a table of Markdown."""
    lines = ["| client | judged by | how far |", "|---|---|---|"]
    lines += [f"| {client.name} | `python -m tests.gateway.clients` | {client.result} |" for client in CLIENTS]
    lines += [f"| {name} | {judged} | {result} |" for name, judged, result in MORE]
    return "\n".join(lines)
