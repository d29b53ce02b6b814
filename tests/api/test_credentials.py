"""Where the API key comes from, and that nothing shows it."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from mirror.api.transport.credentials import ApiKey, find_api_key
from mirror.api.transport.deployment import deployment_of
from mirror.config import ServerSettings
from mirror.errors import AuthError

KEYS = [character * 40 for character in "abcdefgh"]
SERVER = "http://w.example.com:8080"


def find(
    home: Path,
    *,
    base_url: str = SERVER,
    settings_key: str | None = None,
    env: dict[str, str] | None = None,
) -> ApiKey:
    settings = ServerSettings(base_url=base_url, api_key=settings_key)
    return find_api_key(settings, deployment_of(base_url), env or {}, home)


def write_netrc(path: Path, machine: str, key: str) -> None:
    path.write_text(f"machine {machine}\n  login user\n  password {key}\n")
    path.chmod(0o600)


def test_the_places_are_asked_in_order_of_authority(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "wandb-api-key").write_text(KEYS[1] + "\n")
    write_netrc(tmp_path / ".netrc", "w.example.com:8080", KEYS[3])
    everywhere = {"CREDENTIALS_DIRECTORY": str(credentials), "WANDB_API_KEY": KEYS[2]}

    assert find(tmp_path, settings_key=KEYS[0], env=everywhere).reveal() == KEYS[0]
    assert find(tmp_path, env=everywhere).reveal() == KEYS[1]
    assert find(tmp_path, env={"WANDB_API_KEY": KEYS[2]}).reveal() == KEYS[2]
    assert find(tmp_path).reveal() == KEYS[3]


@pytest.mark.parametrize("name", [".netrc", "_netrc"])
def test_netrc_is_read_under_both_its_names(tmp_path: Path, name: str) -> None:
    write_netrc(tmp_path / name, "w.example.com", KEYS[0])
    key = find(tmp_path)
    assert (key.reveal(), key.source) == (KEYS[0], f"~/{name} (w.example.com)")


def test_the_entry_with_the_port_wins(tmp_path: Path) -> None:
    lines = [
        f"machine w.example.com login user password {KEYS[0]}",
        f"machine w.example.com:8080 login user password {KEYS[1]}",
        f"default login user password {KEYS[2]}",
    ]
    (tmp_path / ".netrc").write_text("\n".join(lines))
    assert find(tmp_path).reveal() == KEYS[1]


def test_an_entry_for_everybody_is_not_a_wandb_key(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(f"default login user password {KEYS[2]}\n")
    with pytest.raises(AuthError, match=r"no API key for w\.example\.com"):
        find(tmp_path)
    with pytest.raises(AuthError, match="no API key for default"):
        find(tmp_path, base_url="http://default")


@pytest.mark.parametrize("machine", ["api.wandb.ai", "api.forge.coreweave.com", "forge.coreweave.com"])
def test_a_key_under_any_name_of_the_deployment_is_found(tmp_path: Path, machine: str) -> None:
    write_netrc(tmp_path / "elsewhere", machine, KEYS[0])
    key = find(tmp_path, base_url="https://api.wandb.ai", env={"NETRC": str(tmp_path / "elsewhere")})
    assert (key.reveal(), key.source) == (KEYS[0], f"$NETRC ({machine})")


def test_a_file_that_others_may_read_is_read_all_the_same(tmp_path: Path) -> None:
    write_netrc(tmp_path / ".netrc", "w.example.com", KEYS[0])
    (tmp_path / ".netrc").chmod(0o644)
    assert find(tmp_path).reveal() == KEYS[0]


@pytest.mark.parametrize(
    "broken", [f"machine w.example.com password {KEYS[7]} oops {KEYS[7]}".encode(), b"\xff\xfe", None]
)
def test_an_unreadable_netrc_is_a_warning_that_repeats_nothing_of_it(tmp_path: Path, broken: bytes | None) -> None:
    if broken is None:
        (tmp_path / ".netrc").mkdir()
    else:
        (tmp_path / ".netrc").write_bytes(broken)
    write_netrc(tmp_path / "_netrc", "w.example.com", KEYS[0])

    key = find(tmp_path)
    assert key.reveal() == KEYS[0]
    assert len(key.warnings) == 1
    assert key.warnings[0].startswith("~/.netrc ")
    assert KEYS[7] not in key.warnings[0]

    (tmp_path / "_netrc").unlink()
    with pytest.raises(AuthError, match=r"no API key for w\.example\.com:8080 \(~/\.netrc") as raised:
        find(tmp_path)
    assert KEYS[7] not in str(raised.value)
    assert "wandb login" in raised.value.hint


@pytest.mark.parametrize(
    "key", ["x" * 40, "local-" + "x" * 40, "wandb_v1_" + "A-b_9" * 12, ".".join(["eyJ" + "x" * 20] * 3)]
)
def test_every_known_form_of_a_key_is_taken(key: str) -> None:
    assert ApiKey(f"  {key}\n", "a test").reveal() == key


@pytest.mark.parametrize(
    "key", ["", "x" * 39, "local-" + "x" * 30, "x" * 40 + "!", "x" * 20 + " " + "x" * 20, "é" * 40]
)
def test_a_malformed_key_is_one_clear_line_without_the_key(key: str) -> None:
    with pytest.raises(AuthError, match="does not look like one") as raised:
        ApiKey(key, "WANDB_API_KEY")
    assert "WANDB_API_KEY" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not key or key not in str(raised.value)


def test_a_key_shows_itself_nowhere() -> None:
    key = ApiKey(KEYS[0], "WANDB_API_KEY")
    for shown in (repr(key), str(key), f"{key}", f"{key!r:>80}", repr([key])):
        assert KEYS[0] not in shown
    for copying in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="not written"):
            copying(key)
