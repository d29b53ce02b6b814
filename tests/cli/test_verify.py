"""`verify` as a user types it: what it prints, how it ends, what its JSON is."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest

from mirror.check import FINDING_KINDS, Damage
from mirror.sandbox import Sandbox
from tests.cli.conftest import Cli
from tests.cli.test_json import TABLES, agrees


@pytest.fixture
def held(server: Sandbox, cli: Cli) -> Cli:
    """A mirror with an upload that waits."""
    mirror = cli.at(server).configure("team/proj")
    mirror("pull", code=0)
    (cli.folder / "report.md").write_bytes(b"report")
    mirror("upload", "team/proj/r1", "report.md", code=0)
    return mirror


def damaged(cli: Cli) -> Path:
    """The bytes of the upload, of which one is another."""
    (path,) = [path for path in (cli.home / "objects").rglob("*") if path.is_file() and path.read_bytes() == b"report"]
    path.chmod(0o644)
    path.write_bytes(b"repurt")
    return path


def test_a_sound_mirror_ends_with_0_and_says_what_was_looked_at(held: Cli) -> None:
    assert held("verify", code=0).out.startswith("sound: ")
    assert "quick" in held("verify", "--quick", code=0).out
    said = held("verify", "--json", code=0).json
    agrees(said, "wandb-mirror verify --json")
    assert (said["sound"], said["catalog"], said["findings"], said["entries"]) == (True, "sealed", [], 1)


def test_damage_ends_with_9_and_says_what_is_lost_and_what_to_do(held: Cli) -> None:
    path = damaged(held)
    out = held("verify", code=9).out
    assert f"objects/sha256/{path.parent.name}/{path.name}" in out
    for word in ("object_damaged", "lost: the upload of report.md", "do: ", "1 finding"):
        assert word in out
    said = held("verify", "--json", code=9).json
    agrees(said, "wandb-mirror verify --json")
    (finding,) = said["findings"]
    agrees(finding, "findings[] of verify")
    assert list(TABLES["findings[] of verify"]) == list(Damage.__struct_fields__)
    assert (said["sound"], said["counts"]) == (False, {"object_damaged": 1})


def test_every_kind_of_finding_is_documented() -> None:
    document = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
    section = document.partition("### `findings[]` of verify")[2]
    for kind in FINDING_KINDS:
        assert f"`{kind}`" in section


def test_a_home_without_a_mirror_ends_with_5_and_stays_as_it_is(cli: Cli) -> None:
    cli.fails(5, "verify")
    assert not cli.home.exists()


def test_a_configuration_that_cannot_be_read_is_a_finding_and_one_that_is_not_there_an_error(held: Cli) -> None:
    held.config.write_text("[[source")
    assert "state_damaged  mirror.toml" in held("verify", code=9).out
    held.fails(3, "verify", "--config", "nowhere.toml")


def test_an_interrupt_ends_it_with_130_and_one_line(held: Cli) -> None:
    large = held.home / "objects" / "sha256" / "00" / ("00" * 32)
    large.parent.mkdir(exist_ok=True)
    with large.open("wb") as file:
        file.truncate(64 << 30)
    process = held.start("verify", stderr=-1, stdout=-1)
    while large not in _opened(process.pid):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err.decode().strip().count("\n")) == (130, 0)
    assert "interrupted" in err.decode()


def _opened(pid: int) -> set[Path]:
    """The files that a process has open."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(link.readlink())
    return found
