"""The deployments of a shared lake say what the program takes: settings that it knows, its commands, its secrets."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mirror.config import Config, parse_config
from mirror.serve_settings import listen_address
from tests.cli.conftest import Cli
from tests.pages.blocks import ROOT

FOLDER = ROOT / "container"
IMAGE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "group" / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")))
DAEMONS, PAGE = ("daemon-1", "daemon-2"), "page"
HOME = "/mirror"


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for document in DOCUMENTS if document["kind"] == kind]


def pods() -> list[dict[str, Any]]:
    return [document["spec"]["template"]["spec"] for document in of_kind("StatefulSet")]


def settings() -> dict[str, Config]:
    (of_kubernetes,) = of_kind("ConfigMap")
    texts = {
        "compose": (FOLDER / "group" / "mirror.toml").read_text(encoding="utf-8"),
        "kubernetes": of_kubernetes["data"]["mirror.toml"],
    }
    return {name: parse_config(text, origin=name) for name, text in texts.items()}


@pytest.mark.parametrize("name", ["compose", "kubernetes"])
def test_every_setting_is_one_that_the_program_knows_and_the_lake_is_shared(name: str) -> None:
    found = settings()[name]
    assert found.store.is_shared
    assert found.daemon.listen == "127.0.0.1:9155"
    assert found.retention.files_days >= 7.0
    assert found.source


def test_every_command_and_its_options_are_the_programs(tmp_path: Path) -> None:
    cli = Cli(folder=tmp_path)
    commands = [SERVICES[name]["command"] for name in (*DAEMONS, PAGE)]
    commands += [container["args"] for pod in pods() for container in pod["containers"]]
    shown_by = functools.cache(lambda name: cli(name, "--help", code=0).out)
    for command in commands:
        shown = shown_by(command[0])
        assert all(word in shown for word in command if word.startswith("--"))
        if "--listen" in command:
            assert listen_address(command[command.index("--listen") + 1]) == ("0.0.0.0", 8600)
    for text in (ROOT / "docs" / "guides" / "group-lake.md", FOLDER / "group" / "compose.yaml"):
        for name in re.findall(r"wandb-mirror ([a-z]+) ", text.read_text(encoding="utf-8")):
            assert f"Usage: wandb-mirror {name}" in shown_by(name)


def test_the_image_of_a_group_has_what_it_needs() -> None:
    extras = set(SERVICES[PAGE]["build"]["args"]["EXTRAS"].split(","))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    known = set(re.findall(r"^(\w+) = \[", project.partition("[project.optional-dependencies]")[2], re.MULTILINE))
    assert {"cluster", "serve"} <= extras <= known
    assert re.findall(r"^ARG EXTRAS(.*)$", IMAGE, re.MULTILINE) == ["=prometheus", "", ""]


def test_each_machine_of_compose_has_a_home_of_its_own_and_the_same_settings() -> None:
    homes = set()
    for name in (*DAEMONS, PAGE):
        home, config = SERVICES[name]["volumes"]
        assert config == f"./mirror.toml:{HOME}/mirror.toml:ro"
        assert home.split(":")[1] == HOME
        homes.add(home.split(":")[0])
        assert SERVICES[name]["read_only"]
    assert homes <= COMPOSE["volumes"].keys()
    assert len(homes) == 3
    secrets = {secret for service in SERVICES.values() for secret in service.get("secrets", ())}
    assert secrets == COMPOSE["secrets"].keys()
    guide = (ROOT / "docs" / "guides" / "group-lake.md").read_text(encoding="utf-8")
    for name, secret in COMPOSE["secrets"].items():
        assert secret["file"] == f"secrets/{name}"
        assert f"> {name}\n" in guide
    assert "wandb-api-key" not in SERVICES[PAGE]["secrets"]
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "container/group/secrets/" in ignored


def test_what_is_published_is_on_loopback_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports == ["127.0.0.1:8600:8600"]
    (service,) = of_kind("Service")
    assert service["spec"].get("type", "ClusterIP") == "ClusterIP"


def test_every_name_in_kubernetes_is_that_of_something_there() -> None:
    named = {(document["kind"], document["metadata"]["name"]) for document in DOCUMENTS}
    (secret,) = of_kind("Secret")
    for pod in pods():
        volumes = {volume["name"]: volume for volume in pod["volumes"]} | {"home": {}}
        assert ("ConfigMap", volumes["config"]["configMap"]["name"]) in named
        assert ("Secret", volumes["secrets"]["secret"]["secretName"]) in named
        for container in (*pod["containers"], *pod["initContainers"]):
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounts.keys() <= volumes.keys()
            assert container["securityContext"]["readOnlyRootFilesystem"]
        (container,) = pod["containers"]
        assert mounts_of(container)["config"] == f"{HOME}/mirror.toml"
        env = {one["name"]: one["value"] for one in container["env"]}
        assert pod["initContainers"][0]["command"][-1] == env["PGPASSFILE"]
        assert Path(env["AWS_SHARED_CREDENTIALS_FILE"]).name in secret["stringData"]
        assert {"livenessProbe", "readinessProbe"} <= container.keys()
    assert {"wandb-api-key", "pgpass", "aws-credentials"} == secret["stringData"].keys()
    (service,) = of_kind("Service")
    labels = [document["spec"]["template"]["metadata"]["labels"] for document in of_kind("StatefulSet")]
    assert service["spec"]["selector"] in labels


def mounts_of(container: dict[str, Any]) -> dict[str, str]:
    return {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}


def test_probes_are_python_that_asks_where_the_daemon_listens() -> None:
    (container,) = pods()[0]["containers"]
    address = settings()["kubernetes"].daemon.listen
    for name in ("livenessProbe", "readinessProbe"):
        python, option, text = container[name]["exec"]["command"]
        assert (python, option) == ("python", "-c")
        compile(text, name, "exec")
        assert "/healthz" in text
        assert address in text.replace('", ', ":")


def test_a_bucket_keeps_what_was_deleted_for_longer_than_tables_do() -> None:
    rules = json.loads((FOLDER / "group" / "lifecycle.json").read_text(encoding="utf-8"))["Rules"]
    (days,) = [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules if "NoncurrentVersionExpiration" in rule
    ]
    for found in settings().values():
        assert days > found.retention.files_days
        assert days > found.retention.objects_days
