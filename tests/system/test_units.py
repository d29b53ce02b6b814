"""The units of systemd/: systemd itself reads them, and judges how little they may do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mirror.errors import MirrorError

UNITS = Path(__file__).parents[2] / "systemd"
SYSTEM = sorted(path.name for path in UNITS.glob("wandb-mirror*"))
MOST_EXPOSED = 20  # of 100, in systemd's own measure; 15 are the network, which a mirror needs


def analyze(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Ask systemd; `.ci/run` installs it where it is missing."""
    program = shutil.which("systemd-analyze")
    assert program is not None, "systemd-analyze is missing: install the package systemd"
    env = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(cwd), "HOME": str(cwd)}
    return subprocess.run(
        [program, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as they are, but for the program, which this machine has elsewhere."""
    for path in [*UNITS.glob("wandb-mirror*"), *(UNITS / "user").glob("*")]:
        target = tmp_path / ("user" if path.parent.name == "user" else "system") / path.name
        target.parent.mkdir(exist_ok=True)
        text = path.read_text(encoding="utf-8")
        target.write_text(text.replace("ExecStart=wandb-mirror", f"ExecStart={sys.executable}"), encoding="utf-8")
    return tmp_path


def test_systemd_accepts_every_unit(units: Path) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=no", *(f"system/{name}" for name in SYSTEM), cwd=units)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_accepts_the_units_of_a_user(units: Path) -> None:
    names = sorted(f"user/{path.name}" for path in (UNITS / "user").iterdir())
    assert len(names) == 3
    done = analyze("--user", "verify", "--man=no", "--recursive-errors=no", *names, cwd=units)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_wrong_unit_would_be_noticed(units: Path) -> None:
    path = units / "system" / "wandb-mirror.service"
    path.write_text(path.read_text(encoding="utf-8").replace("Type=notify", "Type=notify\nProtectSistem=yes"))
    done = analyze("verify", "--man=no", "--recursive-errors=no", "system/wandb-mirror.service", cwd=units)
    assert "ProtectSistem" in done.stderr


@pytest.mark.parametrize("name", [name for name in SYSTEM if name.endswith(".service")])
def test_a_service_may_do_little_else_than_its_work(units: Path, name: str) -> None:
    done = analyze(
        "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", f"system/{name}", cwd=units
    )
    assert done.returncode == 0, done.stdout


def test_every_line_of_the_daemons_unit_is_below_a_reason() -> None:
    for name in ("wandb-mirror.service", "user/wandb-mirror.service", "wandb-mirror-verify.service"):
        path = UNITS / name
        service = path.read_text(encoding="utf-8").partition("[Service]")[2].partition("[Install]")[0]
        for block in re.split(r"\n\n+", service.strip()):
            assert block.startswith("#"), block


def test_units_of_one_machine_share_one_user_so_that_none_takes_the_mirror_from_another() -> None:
    """Without `User=` a dynamic user is named after its unit; each start would give the state folder to another one."""
    for name in SYSTEM:
        text = (UNITS / name).read_text(encoding="utf-8")
        if "DynamicUser=yes" in text and name != "wandb-mirror.service":
            assert "\nUser=wandb-mirror\n" in text, name


def test_a_check_asks_nobody_and_lets_everybody_else_go_first() -> None:
    lines = (UNITS / "wandb-mirror-verify.service").read_text(encoding="utf-8").splitlines()
    for line in ("PrivateNetwork=yes", "Nice=19", "IOSchedulingClass=idle"):
        assert line in lines
    assert not any(line.startswith("SuccessExitStatus") for line in lines), "status 9 has to be seen"


def test_what_cannot_be_cured_by_a_restart_is_not_restarted() -> None:
    kinds: list[type[MirrorError]] = [MirrorError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    codes = {kind.__name__: kind.exit_code for kind in kinds}
    for path in (UNITS / "wandb-mirror.service", UNITS / "user" / "wandb-mirror.service"):
        (listed,) = re.findall(r"^RestartPreventExitStatus=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert {int(code) for code in listed.split()} == {
            codes[name] for name in ("ConfigError", "AuthError", "OtherDeployment")
        }
