"""What `--help` and `--version` tell, and that they tell it fast."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from mirror.cli import COMMANDS
from mirror.cli.terminal.statuses import MEANINGS
from mirror.errors import EXIT_PARTIAL, MirrorError
from tests.cli.conftest import Cli

OPTIONS = {
    "init": [
        "--source",
        "--base-url",
        "--no-check",
        "--catalog",
        "--data",
        "--objects",
        "--s3-endpoint",
        "--s3-region",
    ],
    "migrate": ["--to", "--data", "--objects", "--s3-endpoint", "--s3-region"],
    "pull": [
        "--source",
        "--reconcile",
        "--accept-missing",
        "--retry-quarantined",
        "--dry-run",
        "--quiet",
        "--json",
        "[RUN]...",
    ],
    "status": ["--json", "[RUN]"],
    "edit": [
        "[RUN]",
        "--filter",
        "--project",
        "--yes",
        "--dry-run",
        "--add-tag",
        "--remove-tag",
        "--name",
        "--notes",
        "--group",
        "--job-type",
        "--config",
        "--remove-config",
        "--summary",
        "--state",
        "--json",
    ],
    "upload": ["RUN", "PATH...", "--root", "--json"],
    "outbox": ["list", "show", "diff", "retry", "resolve", "drop", "export", "import"],
    "add": [
        "--entity",
        "--project",
        "--id",
        "--job-type",
        "--replace-tags",
        "--online",
        "--synced",
        "--watch",
        "--dry-run",
        "--json",
        "PATH...",
    ],
    "replay": ["--watch", "--dry-run", "--quiet", "--json"],
    "history": [
        "RUN",
        "--keys",
        "--every-key",
        "--min-step",
        "--max-step",
        "--system",
        "--plot",
        "--log",
        "--json",
        "--jsonl",
        "--csv",
        "--output",
    ],
    "compare": ["RUN RUN...", "--all", "--keys", "--log", "--no-plot", "--utc", "--json"],
    "code": ["RUN", "[FILE]", "--requirements", "--diff", "--list", "--json"],
    "checkout": ["RUN", "[DIR]", "--artifact", "--force", "--link", "--gone", "--json"],
    "runs": [
        "--project",
        "--state",
        "--tag",
        "--filter",
        "--order",
        "--columns",
        "--group-by",
        "--utc",
        "--limit",
        "--gone",
        "--json",
        "--csv",
    ],
    "show": ["--json", "--keys", "--all", "--html", "--key", "--utc", "RUN"],
    "sql": ["--json", "--csv", "--table", "--output", "[QUERY]"],
    "maintain": ["--dry-run", "--json"],
    "verify": ["--quick", "--json"],
    "repair": ["--dry-run", "--yes", "--json"],
    "daemon": ["--log"],
    "exec": ["COMMAND...", "--read-only"],
    "serve": ["--listen", "--read-only"],
    "open": ["[RUN|ENTITY/PROJECT]", "--no-browser", "--read-only"],
    "export": ["[ENTITY/PROJECT]...", "--html", "--parquet", "--iceberg", "--filter", "--key"],
    "unit": ["--user", "[NAME]"],
    "completion": ["{bash|zsh|fish}"],
    "doctor": ["--json"],
    "demo": [],
}


def all_errors(kind: type[MirrorError] = MirrorError) -> set[type[MirrorError]]:
    return {kind}.union(*(all_errors(child) for child in kind.__subclasses__()))


def test_every_exit_status_that_an_error_may_have_is_explained() -> None:
    own = {error.exit_code for error in all_errors()}
    assert own | {0, 2, EXIT_PARTIAL, 130} == set(MEANINGS)


def test_the_help_of_the_program_lists_commands_options_and_exit_statuses(cli: Cli) -> None:
    shown = cli("--help", code=0).out
    for expected in [*COMMANDS, "--home", "--config", "--version", "Exit status:", *MEANINGS.values()]:
        assert expected in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_the_help_of_a_command_lists_its_options_and_ends_with_its_exit_statuses(cli: Cli, name: str) -> None:
    shown = cli(name, "-h", code=0).out
    assert shown.startswith(f"Usage: wandb-mirror {name} ")
    for expected in [*OPTIONS[name], *(["--home"] if name != "completion" else [])]:
        assert expected in shown, expected
    statuses = shown.partition("Exit status:\n")[2].splitlines()
    listed = {int(line.split()[0]): line.split(maxsplit=1)[1] for line in statuses}
    assert listed.items() <= MEANINGS.items()
    assert {0, 2, 3, 8, 130} <= listed.keys()
    assert (9 in listed) == (name in {"pull", "checkout", "status", "edit", "replay", "verify", "repair", "add"})
    assert (6 in listed) == (name in {"init", "pull", "doctor", "outbox", "replay"}), "only those ask the server"


def test_the_version_is_that_of_the_package(cli: Cli) -> None:
    assert cli("--version", code=0).out == f"wandb-mirror, version {version('wandb-mirror')}\n"


@pytest.mark.parametrize(
    ("arguments", "why"), [(["nope"], "No such command"), (["pull", "--nope"], "No such option"), ([], "Usage")]
)
def test_a_wrong_command_line_is_answered_with_the_usage_and_status_2(cli: Cli, arguments: list[str], why: str) -> None:
    said = cli(*arguments, code=2)
    assert why in said.err
    assert "Usage: wandb-mirror" in said.err


def test_help_imports_no_database_and_no_client() -> None:
    """Cold start: what takes long to import is imported by the command that needs it."""
    asked = "import sys; import mirror.cli; print([name for name in ('duckdb', 'pyarrow', 'httpx', 'wandb', 'rich') if name in sys.modules])"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_command_at_all_is_answered_with_the_commands(cli: Cli) -> None:
    for arguments in ((), ("outbox",)):
        said = cli(*arguments, code=2)
        lines = (said.out + said.err).splitlines()
        assert lines[0].startswith("Usage: wandb-mirror")
        assert len(lines) > 10
        assert "Error" not in said.err
