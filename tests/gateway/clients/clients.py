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
        packages: that pip installs for it; `{checkout}` is a work tree of its repository, where it is in no registry.
        commands: what is run, in a folder of its own; the first word is a program of the client's environment.
        refused: whether the gateway is to refuse it; else its outputs are those that it has at the server.
        result: what the page says of it.
        unlike: a pattern of what it says otherwise than at the server, as `result` tells.
    """

    name: str
    packages: Sequence[str]
    commands: Sequence[Sequence[str]]
    result: str
    refused: str = ""
    unlike: bytes = rb"(?!)"


_SDK = [["python", "{here}/sdk_probe.py", PATH]]
_ARCHIVE = """\
source: {entity: clients-team, base_url: "%s", projects: {include: ["local proj"]}}
destination: {type: local, path: out}
archive: {security: {profile: private}, include: {logged_artifacts: all, used_artifacts: all, console_logs: true}}
"""
_LIGHTNING = ["lightning==2.*", "wandb==0.31.0"]
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
        "Lightning's `WandbLogger`",
        _LIGHTNING,
        [["python", "{here}/lightning_probe.py", PATH, "download"]],
        "`download_artifact`",
    ),
    Client(
        "wandb-mcp-server 0.3",
        ["{checkout}", "mcp[cli]<2", "weave==0.52.*", "wandb==0.25.*"],
        [["python", "{here}/mcp_probe.py", PATH]],
        "its tools for entities, projects, runs by filter and order, histories, artifacts, comparing, diagnosing;"
        " links of a version are null",
        unlike=rb'"linked_artifacts": (\[\]|null)',
    ),
    Client(
        "wandb-tui 0.3",
        ["wandb-tui==0.3.*"],
        [
            ["python", "{here}/tui_probe.py", "--once", f"{PATH}/run1"],
            ["python", "{here}/tui_probe.py", "--once", PATH],
            ["python", "{here}/tui_probe.py", "--json", "/dev/stdout", f"{PATH}/run1"],
        ],
        "a run's metrics, a project's runs; it knows the hosted server's address alone, which the test replaces; its"
        " list of entities asks for fields that are not in the schema",
    ),
    Client(
        "wandb-workspaces",
        ["wandb-workspaces"],
        [["python", "{here}/workspaces_probe.py", PATH]],
        "refused in one sentence: workspaces and reports are not mirrored",
        refused="not mirrored, only the W&B server has them",
    ),
    # These two train: they are last, since they leave runs at the server.
    Client(
        "Lightning's `WandbLogger`, training",
        _LIGHTNING,
        [["python", "{here}/lightning_probe.py", PATH, "use"]],
        "a run that logs metrics and uses an artifact with `use_artifact`",
    ),
    Client(
        "`wandb sync` of an offline run",
        ["wandb==0.31.0"],
        [
            ["python", "{here}/offline_run.py", ENTITY],
            ["sh", "-c", "wandb sync wandb/offline-run-* 2>&1 | grep -o 'done'"],
            ["python", "{here}/offline_run.py", ENTITY, "read"],
        ],
        "taken as a training is, and read back",
    ),
)
MORE = (("`wandb leet RUN` (of 0.31)", "by hand", "a run's charts, system metrics, console and summary"),)
ARCHIVE = _ARCHIVE


def as_table() -> str:
    """What works, as a table of Markdown."""
    lines = ["| client | judged by | how far |", "|---|---|---|"]
    lines += [f"| {client.name} | `python -m tests.gateway.clients` | {client.result} |" for client in CLIENTS]
    lines += [f"| {name} | {judged} | {result} |" for name, judged, result in MORE]
    return "\n".join(lines)
