"""The image and the compose file say what the program takes: its commands, its home, the name of its credential."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mirror.api.transport.credentials import find_api_key
from mirror.api.transport.deployment import deployment_of
from mirror.config import ServerSettings
from mirror.layout import find_home
from tests.cli.conftest import Cli
from tests.pages.blocks import ROOT
from tests.pages.prepared import Prepared

FOLDER = ROOT / "container"
IMAGE = re.sub(r"\\\n\s*", "", (FOLDER / "Dockerfile").read_text(encoding="utf-8"))
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]


def instruction(name: str) -> str:
    """What the last instruction of this name says."""
    return str(re.findall(rf"^{name} (.*)$", IMAGE, re.MULTILINE)[-1])


def test_the_image_starts_the_program_with_arguments_that_it_has(held: Prepared, tmp_path: Path) -> None:
    assert json.loads(instruction("ENTRYPOINT")) == ["wandb-mirror"]
    cli = Cli(folder=tmp_path)
    for arguments in (json.loads(instruction("CMD")), SERVICES["reader"]["command"]):
        assert "Usage: wandb-mirror" in cli(*arguments, "--help", code=0).out
    probe = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    assert probe[0] == "wandb-mirror"
    assert held.cli(*probe[1:], code=0).json["healthy"]


def test_home_and_key_are_where_the_program_looks_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = dict(pair.split("=") for pair in instruction("ENV").split())
    assert instruction("VOLUME") == env["WANDB_MIRROR_HOME"]
    for service in SERVICES.values():
        assert service["volumes"][0].split(":")[1] == env["WANDB_MIRROR_HOME"]
    monkeypatch.setenv("WANDB_MIRROR_HOME", env["WANDB_MIRROR_HOME"])
    assert find_home(None).root == Path(env["WANDB_MIRROR_HOME"])

    (secret,) = SERVICES["daemon"]["secrets"]
    assert COMPOSE["secrets"][secret]["file"] == f"secrets/{secret}"
    assert env["CREDENTIALS_DIRECTORY"] == "/run/secrets"  # where compose puts them
    (tmp_path / secret).write_text("k" * 40)
    deployment = deployment_of("https://wandb.example.com")
    found = find_api_key(ServerSettings(), deployment, env={"CREDENTIALS_DIRECTORY": str(tmp_path)}, home=tmp_path)
    assert found.reveal() == "k" * 40


def test_a_reader_has_neither_a_network_nor_a_way_to_write() -> None:
    reader = SERVICES["reader"]
    assert (reader["network_mode"], reader["read_only"], reader["volumes"]) == ("none", True, ["mirror:/mirror:ro"])
    assert "secrets" not in reader
    assert instruction("USER") == "mirror"


def test_what_the_wheel_is_made_of_is_in_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wheel = project.partition("[tool.hatch.build.targets.wheel]")[2].partition("[tool.hatch.build.targets.sdist]")[0]
    named = set(re.findall(r'^"(\w+)" = "mirror/', wheel, re.MULTILINE)) | {"mirror", "pyproject.toml"}
    named |= {str(name) for name in re.findall(r'^(?:readme = |license-files = \[)"([^"]+)"', project, re.MULTILINE)}
    assert named <= sent
    for name in sent:
        assert (ROOT / name).exists(), name


def test_the_workflow_runs_what_must_pass() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    assert ".ci/run" in steps
    assert any(step.startswith("docker build --file container/Dockerfile") for step in steps)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    supported = re.findall(r"Python :: (3\.\d+)", project)
    assert workflow["jobs"]["run"]["strategy"]["matrix"]["python"] == supported
