"""What README, the example configuration and the map for contributors say is so; for pages see `tests/pages`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import mirror
from mirror.cli.config_text import new_config_text
from mirror.config import SourceSettings, load_config
from mirror.watch_settings import OfflineSettings, WatchSettings
from tests import servers

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAM = [sys.executable, "-m", "mirror.cli"]
NO_DEFAULT = ("threads", "aliases", "requests_per_second")  # settings that the example shows with a value


def blocks(language: str) -> list[str]:
    """The fenced blocks of README in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def run(command: list[str], env: dict[str, str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_the_demo_command_of_the_readme_tells_its_story(tmp_path: Path) -> None:
    command = next(line for block in blocks("sh") for line in block.splitlines() if line.endswith("wandb-mirror demo"))
    setup, _, story = command.rpartition(" && ")
    assert setup == 'python3 -m venv .venv && .venv/bin/pip install -q ".[demo]"'  # .ci/run runs it as it stands
    home = tmp_path / "demo"
    done = run([*PROGRAM, *shlex.split(story)[1:], "--home", str(home)], {**os.environ, "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "trained and logged 5 runs" in done.stdout
    assert "refuses connections" in done.stdout
    assert "mlp-64-too-fast" in done.stdout.rpartition("Which runs lost their footing")[2]
    epochs = done.stdout.rpartition("How many epochs did each model need")[2].partition("Which runs lost")[0]
    assert re.search(r"^mlp-64 +\d+ +\d+ *$", epochs, re.MULTILINE)
    assert "How did the best one, mlp-64, learn?" in done.stdout
    assert re.search(r"NumPy reads weights.npz back: 4,810 parameters", done.stdout)  # 64·64 + 64 + 64·10 + 10
    assert (home / "best-model" / "wandb-summary.json").exists()
    offline, _, online = done.stdout.partition("The server is back.")
    assert "tags demo, digits, best; notes 'wins; see the report'; reviewed True" in offline
    assert online.count("applied") == 3
    judged = online.partition("The real wandb SDK reads the runs from the server")[2]
    assert re.search(r"^  tags   best, checked-by-ada, demo, digits ", judged, re.MULTILINE)
    assert re.search(r"^  state  pending ", judged, re.MULTILINE)
    engine = mirror.connect(home)
    assert engine.execute(
        "SELECT count(*), max((summary->>'$.\"test/accuracy\"')::DOUBLE) > 0.85 FROM runs"
    ).fetchone() == (
        5,
        True,
    )
    engine.close()


def test_the_test_command_of_the_readme_runs_this_suite() -> None:
    line = next(line for block in blocks("sh") for line in block.splitlines() if line.endswith("-m pytest"))
    assert line == 'python3 -m venv .venv && .venv/bin/pip install -q -e ".[dev]" && .venv/bin/python -m pytest'
    assert "readme_command '-m pytest'" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_example_configuration_loads_and_is_what_init_writes() -> None:
    path = ROOT / "config" / "mirror.example.toml"
    config = load_config(path, env={})
    assert [source.path for source in config.source] == ["my-team/my-project", "my-team/vision-*"]
    assert path.read_text(encoding="utf-8") == new_config_text(
        config.server.base_url, [source.path for source in config.source]
    )


@pytest.mark.parametrize("table", ["server", "pull", "store", "retention", "daemon", "health", "serve"])
def test_every_default_that_the_example_shows_is_the_default(table: str, tmp_path: Path) -> None:
    text = (ROOT / "config" / "mirror.example.toml").read_text(encoding="utf-8")
    section = re.search(rf"^\[{table}\]\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    shown = re.findall(r"^# (\w+ = .*)$", section[1], re.MULTILINE)
    path = tmp_path / "mirror.toml"
    path.write_text(f"[{table}]\n" + "\n".join(line for line in shown if not line.startswith(NO_DEFAULT)))
    assert getattr(load_config(path, env={}), table) == getattr(load_config(tmp_path / "absent.toml", env={}), table)
    documented = {line.split(" ")[0] for line in shown} | {"base_url", "api_key"}
    assert set(getattr(load_config(path, env={}), table).__struct_fields__) <= documented


def test_every_default_that_the_example_shows_for_a_source_is_the_default(tmp_path: Path) -> None:
    text = (ROOT / "config" / "mirror.example.toml").read_text(encoding="utf-8")
    section = text.partition("[[source]]")[2].partition("[[source]]")[0]
    shown = re.findall(r"^# (\w+ = [^#]*?)(?:  #.*)?$", section, re.MULTILINE)
    path = tmp_path / "mirror.toml"
    path.write_text('[[source]]\npath = "e/p"\n' + "\n".join(shown))
    assert load_config(path, env={}).source == (SourceSettings(path="e/p"),)
    assert {line.split(" ")[0] for line in shown} == set(SourceSettings.__struct_fields__) - {"path", "watch"}


def test_every_default_that_the_example_shows_for_a_watch_is_the_default(tmp_path: Path) -> None:
    text = (ROOT / "config" / "mirror.example.toml").read_text(encoding="utf-8")
    shown = re.findall(r"^#   (\w+ = [^#]*?(?:\[.*\])?)(?:  #.*)?$", text, re.MULTILINE)
    path = tmp_path / "mirror.toml"
    path.write_text('[[source]]\npath = "e/p"\n[[source.watch]]\n' + "\n".join(shown))
    (source,) = load_config(path, env={}).source
    assert source.watch == (WatchSettings(folder="/data/runs/r1", run="r1"),)
    assert {line.split(" ")[0] for line in shown} == set(WatchSettings.__struct_fields__)


def test_every_default_that_the_example_shows_for_a_folder_of_offline_runs_is_the_default(tmp_path: Path) -> None:
    text = (ROOT / "config" / "mirror.example.toml").read_text(encoding="utf-8")
    shown = re.findall(r"^#  (\w+ = [^#]*?)(?:  #.*)?$", text, re.MULTILINE)
    path = tmp_path / "mirror.toml"
    path.write_text("[[offline]]\n" + "\n".join(shown))
    assert load_config(path, env={}).offline == (OfflineSettings(folder="/data/runs"),)
    assert {line.split(" ")[0] for line in shown} == set(OfflineSettings.__struct_fields__)


def test_the_readme_is_one_screen() -> None:
    assert len(README.splitlines()) <= 80


def test_the_site_is_built_where_everything_must_pass() -> None:
    assert "mkdocs build --strict" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "mkdocs build --strict" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_link_of_the_readme_into_the_repository_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_file_and_name_that_the_map_for_contributors_names_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w./-]+/[\w.-]*)`", text)
    assert len(named) > 30
    for path in named:
        assert (ROOT / path).exists(), path
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "mirror").rglob("*.py"))
    for name in re.findall(r"`(_?[A-Z]\w+)`", text):
        assert re.search(rf"\b{name}\b", sources), name


def test_the_commands_of_a_working_day_are_those_of_the_makefile() -> None:
    made = re.findall(r"^([\w-]+):.*  ## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    told = re.findall(r"^\| `make ([\w-]+)` \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert made == ["help", *told]


def test_the_page_about_servers_is_the_one_that_the_capabilities_make() -> None:
    assert servers.PAGE.read_text(encoding="utf-8") == servers.page(), "run `python -m tests.servers`"
