"""The notebooks of `examples/` run from top to bottom, in a kernel of their own, against a mirror like the demo's."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.cli.conftest import Cli
from tests.pages.blocks import ROOT
from tests.pages.prepared import Prepared, environment

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def shown(cell: Any) -> str:
    """What a cell printed or showed, as text."""
    parts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", [])]
    return "\n".join(parts)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, held: Prepared, tmp_path: Path) -> None:
    shutil.copytree(held.cli.home, tmp_path / "mirror")
    cli = Cli(folder=tmp_path, env=held.cli.env)
    env = {
        **{name: value for name, value in environment(cli).items() if name != "PYTHONWARNINGS"},
        "PATH": f"{Path(sys.executable).parent}:{environment(cli)['PATH']}",
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    content = nbformat.read(notebook, as_version=4)
    NotebookClient(content, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute(env=env)
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    EXPECTED[notebook.stem]([shown(cell) for cell in code], code)
    if "edit" in notebook.stem:
        assert cli("outbox", "list", "--json", code=0).json == []
        assert held.sandbox.state.run("sandbox-team", "digits", "digits1").notes == "looked at twice"


def first_look(texts: list[str], cells: list[Any]) -> None:
    assert texts[0] == "3"
    assert texts[1].splitlines()[0].split() == ["mlp-1", "finished", "0.1", "0.9"]
    (page,) = [output["data"]["text/html"] for output in cells[2].outputs]
    assert "<svg" in page or "&lt;svg" in page  # a curve
    assert "9 steps" in texts[4]
    assert "weights.npz" in texts[5]
    assert "no-such-run" in texts[6]


def questions(texts: list[str], cells: list[Any]) -> None:
    assert "finished" in texts[0]
    assert "mlp-1" in texts[2]
    assert "mlp-2" in texts[4]
    assert "True" in texts[5]


def edit(texts: list[str], cells: list[Any]) -> None:
    assert "from-a-notebook" in texts[3]
    assert "digits1" in texts[4]
    assert "applied" in texts[5]


EXPECTED = {"1-first-look": first_look, "2-questions-over-all-runs": questions, "3-edit-offline": edit}
