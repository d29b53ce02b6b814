"""Every page in a real Chromium: drawn whole, silent, accessible, asking for nothing beyond loopback, running nothing
that a run brought.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

import mirror
from mirror.layout import Home
from tests.browser import Browser
from tests.gateway.served import served
from tests.mirroring import SOURCE
from tests.web.site import HOSTILE, HOSTILE_ID, RUNS, Site
from tests.web.test_changes import home as home

HOSTILE_RUN = f"/{SOURCE}/runs/{quote(HOSTILE_ID, safe='')}"
TABS = ("overview", "metrics", "system", "console", "files", "media", "artifacts")
PAGES = {
    "projects": "/",
    "runs": f"/{SOURCE}",
    "grouped": f"/{SOURCE}?group={quote(json.dumps(['config.opt']))}",
    "parallel": f"/{SOURCE}?tab=parallel",
    "scatter": f"/{SOURCE}?tab=scatter",
    "compare": f"/{SOURCE}/compare?runs={quote(json.dumps(['run00', 'run01', HOSTILE_ID]))}",
    **{f"run, {tab}": f"/{SOURCE}/runs/run00?tab={tab}" for tab in TABS},
    **{f"hostile, {tab}": f"{HOSTILE_RUN}?tab={tab}" for tab in TABS},
    "artifact": f"/{SOURCE}/artifacts/dataset/model/v0",
    "mirror": "/-/mirror",
    "sql": f"/-/sql?q={quote('SELECT run_id, display_name FROM runs')}",
}
# What axe calls serious or worse; experimental rules are none of W3C's.
AXE = """
axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']}).then(
  found => found.violations.map(one => [one.id, one.nodes.slice(0, 3).map(node => node.html.slice(0, 200))]))
"""
IDLE = "new Promise(done => setTimeout(() => requestIdleCallback(done), 400))"


@pytest.fixture(scope="module")
def axe() -> str:
    """The rules, as a script."""
    return (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")


def settle(browser: Browser) -> None:
    """Wait until the page asks for nothing more."""
    browser.run(IDLE)


def click(browser: Browser, label: str) -> None:
    """Press what has this label, as soon as it is there."""
    named = f"one => one.innerText.trim().endsWith({json.dumps(label)})"
    found = f"[...document.querySelectorAll('main button, main a')].find({named})"
    browser.wait(found)
    browser.run(f"{found}.click()")


def search(browser: Browser, words: str) -> None:
    """Type into the page's search, as soon as it is there."""
    browser.wait("document.querySelector('main input[type=search]')")
    browser.run("document.querySelector('main input[type=search]').focus()")
    browser.ask("Input.insertText", text=words)


def check(browser: Browser, origin: str) -> None:
    """Nothing ran, nothing was said, nothing was asked of anybody else."""
    assert browser.run("window.hit === undefined")
    assert browser.complaints() == []
    strange = [url for url in browser.requested() if not url.startswith((origin, "data:", "blob:"))]
    assert strange == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_drawn_silent_and_accessible(site: Site, browser: Browser, axe: str, name: str) -> None:
    site.open(browser, PAGES[name], width=1280)
    settle(browser)
    assert browser.run("document.querySelector('main').innerText.trim().length") > 20
    assert browser.run("document.querySelectorAll('.trouble').length") == 0
    check(browser, site.served.url)
    browser.run(axe + ";0")
    assert browser.run(AXE) == []


@pytest.mark.parametrize("name", ["runs", "run, overview", "run, metrics", "mirror", "sql", "compare"])
def test_a_page_fits_a_phone_and_the_night(site: Site, browser: Browser, axe: str, name: str) -> None:
    site.open(browser, PAGES[name], width=390, dark=True)
    settle(browser)
    assert browser.run("document.documentElement.scrollWidth") <= 390
    check(browser, site.served.url)
    browser.run(axe + ";0")
    assert browser.run(AXE) == []


def test_the_table_of_runs_is_searched_and_its_address_holds_the_view(site: Site, browser: Browser) -> None:
    site.open(browser, f"/{SOURCE}", width=1280)
    browser.wait(f"document.querySelector('main').innerText.includes('{RUNS + 1} runs')")
    search(browser, "sgd")
    browser.wait("document.querySelector('main').innerText.includes('12 of 25')")
    address = browser.wait("location.search.includes('sgd') && location.href")
    browser.go(address)  # as somebody who was sent it
    browser.wait("document.querySelector('main').innerText.includes('12 of 25')")
    assert browser.run("document.querySelector('main input[type=search]').value") == "sgd"


def test_curves_are_drawn_and_say_of_how_many_runs(site: Site, browser: Browser) -> None:
    site.open(browser, f"/{SOURCE}", width=1280)
    browser.wait("document.querySelector('main').innerText.includes('10 of 25 runs')")
    drawn = """
    [...document.querySelectorAll('canvas')].some(canvas => {
      const size = canvas.width && canvas.height && canvas.getContext('2d');
      return size && size.getImageData(0, 0, canvas.width, canvas.height).data.some(value => value > 0);
    })
    """
    browser.wait(drawn)


def test_every_metric_of_a_run_can_be_reached(site: Site, browser: Browser) -> None:
    site.open(browser, PAGES["run, metrics"], width=1280)
    search(browser, "layer39")
    browser.wait("document.querySelector('main').innerText.includes('layer39/norm')")


def test_a_name_is_text_wherever_it_stands(site: Site, browser: Browser) -> None:
    site.open(browser, HOSTILE_RUN, width=1280)
    browser.wait("document.querySelector('main h1')")
    name = browser.run("document.querySelector('main h1').innerText")
    assert name.startswith(HOSTILE[:20])
    assert browser.run("document.querySelectorAll('main img, main script').length") == 0


def test_a_page_of_a_run_is_framed_without_power(site: Site, browser: Browser) -> None:
    site.open(browser, f"{HOSTILE_RUN}?tab=files", width=1280)
    browser.wait("document.querySelector('main').innerText.includes('p.html')")
    click(browser, "p.html")
    browser.wait("document.querySelector('main iframe[sandbox]')")
    settle(browser)
    assert browser.run("window.hit === undefined")
    assert all(urlsplit(url).hostname == "127.0.0.1" for url in browser.requested())


@pytest.fixture(scope="module")
def changed(home: Home) -> Iterator[Site]:
    """The page of a copy whose runs may be changed."""
    with served(home) as gateway:
        yield Site(gateway)


def test_sql_is_answered_on_the_page(site: Site, browser: Browser) -> None:
    site.open(browser, PAGES["sql"], width=1280)
    click(browser, "Run")
    browser.wait("document.querySelector('main').innerText.includes('run23')")
    check(browser, site.served.url)


def test_an_edit_on_the_page_is_queued_and_marked(changed: Site, browser: Browser) -> None:
    changed.open(browser, f"/{SOURCE}/runs/run10", width=1280)
    click(browser, "rename")
    browser.wait("document.activeElement.matches('input')")
    browser.run("document.activeElement.select()")
    browser.ask("Input.insertText", text="renamed <b>here</b>")
    click(browser, "Queue change")
    browser.wait("document.querySelector('main h1').innerText.includes('renamed <b>here</b>')")
    browser.wait("/queued/i.test(document.querySelector('main').innerText)")
    pending: list[dict[str, Any]] = changed.get("run", run=f"{SOURCE}/run10")["pending"]
    assert [entry["wish"] for entry in pending] == ["edit display_name"]


def test_what_changes_elsewhere_appears_by_itself(changed: Site, browser: Browser, home: Home) -> None:
    changed.open(browser, f"/{SOURCE}", width=1280)
    browser.wait("document.querySelector('main').innerText.includes('sgd-11')")
    run = mirror.Api(str(home.root)).run(f"{SOURCE}/run11")
    run.name = "moved by itself"
    run.update()
    browser.wait("document.querySelector('main').innerText.includes('moved by itself')", 30)


def test_the_assets_of_a_page_are_light() -> None:
    sizes = [len(gzip.compress(Path(str(one)).read_bytes())) for one in (files("mirror.web") / "assets").iterdir()]
    assert sum(sizes) < 500_000 // 4
