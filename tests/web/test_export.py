"""A project as pages that open without a server: the same runs, values and names, asking for nothing but its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import mirror
from mirror.errors import ConfigError, Refused
from mirror.layout import Home
from mirror.records.addresses import ProjectKey
from mirror.run.pending.local import LocalMirror
from mirror.web.static import Wanted, export_html
from tests.browser import Browser
from tests.cli.conftest import Cli
from tests.mirroring import ENTITY, PROJECT, SOURCE
from tests.web.site import HOSTILE, RUNS
from tests.web.test_pages import search

DRAWN = """
[...document.querySelectorAll('canvas')].some(canvas => canvas.width && canvas.height
  && canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(value => value > 0))
"""


@pytest.fixture(scope="module")
def exported(pulled: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of the whole project."""
    target = tmp_path_factory.mktemp("export") / "pages"
    wanted = Wanted(project=ProjectKey(ENTITY, PROJECT), target=target)
    assert export_html(LocalMirror(pulled), wanted, lambda placed: {"id": placed.entry.id}) == RUNS + 1
    return target


def check(browser: Browser) -> None:
    """Nothing ran, nothing was said, nothing was asked of anybody."""
    assert browser.run("window.hit === undefined")
    assert browser.complaints() == []
    assert {urlsplit(url).scheme for url in browser.requested()} <= {"file", "data", "blob"}


def test_the_table_and_the_curves_open_from_a_file(exported: Path, browser: Browser) -> None:
    browser.open(exported / "index.html", width=1280)
    browser.wait(f"document.querySelector('main').innerText.includes('10 of {RUNS + 1} runs')")
    check(browser)  # before we read what is drawn, of which a browser warns
    browser.wait(DRAWN)
    search(browser, "sgd")
    browser.wait("document.querySelector('main').innerText.includes('12 of 25')")


@pytest.mark.parametrize("tab", ["overview", "metrics", "system", "console", "files", "media", "artifacts"])
def test_each_part_of_a_run_opens_from_a_file(exported: Path, browser: Browser, tab: str, pulled: Home) -> None:
    place = [run.id for run in mirror.Api(str(pulled.root)).runs(SOURCE, order="-created_at")].index("run00")
    browser.go(f"{(exported / 'runs' / f'{place}.html').as_uri()}?tab={tab}", width=1280)
    browser.wait("document.querySelector('main h1')")
    browser.run("new Promise(done => setTimeout(() => requestIdleCallback(done), 400))")
    assert browser.run("document.querySelectorAll('.trouble').length") == 0
    check(browser)
    shown: dict[str, str] = {"media": "sample", "console": "line 3", "overview": "0.1", "files": "s.png"}
    browser.wait(f"document.querySelector('main').innerText.includes({shown.get(tab, '')!r})")
    if tab in ("metrics", "system"):
        browser.wait(DRAWN)


def test_hostile_names_are_text_in_a_file_too(exported: Path, browser: Browser, pulled: Home) -> None:
    runs = [run.name for run in mirror.Api(str(pulled.root)).runs(SOURCE, order="-created_at")]
    browser.open(exported / "runs" / f"{runs.index(HOSTILE)}.html", width=1280)
    browser.wait("document.querySelector('main h1')")
    assert browser.run("document.querySelector('main h1').innerText").startswith(HOSTILE[:20])
    check(browser)


def test_an_export_is_whole_or_not_there(pulled: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    wanted = Wanted(project=ProjectKey(ENTITY, PROJECT), target=tmp_path / "pages")
    with pytest.raises(KeyboardInterrupt):
        export_html(LocalMirror(pulled), wanted, lambda _: {}, told)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten_and_nothing_is_made_of_no_run(pulled: Home, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")

    def export(**how: Any) -> int:
        local = LocalMirror(pulled)
        return export_html(local, Wanted(project=ProjectKey(ENTITY, PROJECT), **how), lambda _: {})

    with pytest.raises(Refused):
        export(target=tmp_path)
    with pytest.raises(ConfigError):
        export(target=tmp_path / "none", filters={"state": "nothing"})
    assert export(target=tmp_path / "some", filters={"config.opt": "sgd"}, keys=("loss",)) == RUNS // 2
    assert len(list((tmp_path / "some" / "data").glob("curves-*.js"))) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp")] == []


def test_the_command_says_where_to_look(pulled: Home, tmp_path: Path) -> None:
    cli = Cli(folder=tmp_path).using(WANDB_MIRROR_HOME=str(pulled.root))
    done = cli("export", SOURCE, "--html", "pages", "--filter", '{"display_name": "adam-0"}', code=0)
    assert done.out == "pages/index.html\n"
    assert "1 run" in done.err
    assert (tmp_path / "pages" / "runs" / "0.html").exists()
    again = cli("export", SOURCE, "--html", "pages", code=10)
    assert "is there already" in again.err
    assert "ENTITY/PROJECT" in cli("export", "one", "--html", "other", code=3).err


def test_the_page_of_one_run_draws_the_metrics_that_are_named(pulled: Home, tmp_path: Path) -> None:
    cli = Cli(folder=tmp_path).using(WANDB_MIRROR_HOME=str(pulled.root))
    run = f"{SOURCE}/run00"
    cli("show", run, "--html", "first.html", code=0)
    cli("show", run, "--html", "some.html", "--key", "layer1*", "--key", "loss", code=0)
    first, some = ((tmp_path / f"{name}.html").read_text(encoding="ascii") for name in ("first", "some"))
    assert (first.count("<figure"), some.count("<figure")) == (24, 12)
    assert "18 more metrics, not drawn" in first  # of the 42
    assert "30 more metrics, not drawn" in some
    assert "--key" in cli("show", run, "--key", "loss", code=3).err
