"""`wandb-mirror unit`: what it prints is what systemd takes, and it starts this very program."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.system.test_units import SYSTEM, UNITS, analyze


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A user who has a home of the mirror somewhere."""
    return Cli(folder=tmp_path)


def test_it_lists_the_units_there_are(cli: Cli) -> None:
    assert cli("unit", code=0).out.split() == SYSTEM
    assert cli("unit", "--user", code=0).out.split() == sorted(path.name for path in (UNITS / "user").iterdir())
    assert "one of: wandb-mirror" in cli.fails(3, "unit", "nope.service").hint


def test_the_unit_of_a_user_starts_this_program_for_this_home(cli: Cli) -> None:
    odd = cli.using(WANDB_MIRROR_HOME=str(cli.folder / 'a "home" of 100%'))
    unit = odd("unit", "--user", "wandb-mirror.service", code=0).out
    assert f"ExecStart={Path(sys.executable).with_name('wandb-mirror')} daemon\n" in unit
    assert 'a \\"home\\" of 100%%"\n' in unit
    (cli.folder / "wandb-mirror.service").write_text(unit, encoding="utf-8")
    done = analyze("--user", "verify", "--man=no", "--recursive-errors=no", "./wandb-mirror.service", cwd=cli.folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", SYSTEM)
def test_systemd_takes_every_unit_as_it_is_printed(cli: Cli, name: str) -> None:
    for other in SYSTEM:
        (cli.folder / other).write_text(cli("unit", other, code=0).out, encoding="utf-8")
    done = analyze("verify", "--man=no", "--recursive-errors=no", f"./{name}", cwd=cli.folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
