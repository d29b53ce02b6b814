"""`wandb-mirror show RUN --html FILE`: a page that a colleague can open, from a process with no network."""

from __future__ import annotations

import stat

import pytest

from tests.cli.conftest import Cli


def test_a_page_is_written_whole(filled: Cli) -> None:
    offline = filled.using(WANDB_API_KEY=None, WANDB_BASE_URL=None)
    done = offline("show", "team/proj/r1", "--html", "r1.html", code=0)
    file = filled.folder / "r1.html"
    html = file.read_text(encoding="ascii")
    assert done.out == ""
    assert done.err.startswith("wrote r1.html (")
    assert html.startswith("<!doctype html>\n")
    assert html.endswith("</html>\n")
    assert "first [bold]run[/bold] &#233;" in html
    assert "1152921504606846977" in html
    assert stat.S_IMODE(file.stat().st_mode) & 0o600 == 0o600


def test_a_page_replaces_the_one_before_and_is_the_same_for_the_same_mirror(filled: Cli) -> None:
    file = filled.folder / "again.html"
    file.write_text("old")
    filled("show", "team/proj/r2", "--html", str(file), code=0)
    first = file.read_bytes()
    filled("show", "team/proj/r2", "--html", str(file), code=0)
    assert file.read_bytes() == first
    assert b"NaN" in first
    assert not list(filled.folder.glob(".tmp-*"))


def test_a_run_that_is_not_mirrored_leaves_no_file(filled: Cli) -> None:
    said = filled.fails(5, "show", "team/proj/nope", "--html", "nope.html")
    assert said.error == "error: run team/proj/nope is not in this mirror"
    assert "wandb-mirror pull team/proj/nope" in said.hint
    assert not (filled.folder / "nope.html").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--html", "missing/r1.html"], "there is no folder missing to write r1.html into"),
        (["--html", "r1.html", "--json"], "--json, --keys and --html are forms of one answer"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_read(cli: Cli, options: list[str], expected: str) -> None:
    assert expected in cli.fails(3, "show", "team/proj/r1", *options).error


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(filled: Cli) -> None:
    name = "n" * 300 + ".html"  # longer than any file system takes
    said = filled.fails(8, "show", "team/proj/r1", "--html", name)
    assert f"{name} cannot be written" in said.error
    assert not list(filled.folder.glob(".tmp-*"))
