"""The page of a run in a real Chromium with no network: laid out whole, silent, and asking for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mirror.run.page.html import RunPage, page_document, page_html
from tests.browser import Browser
from tests.run.pages import hostile_page, plain_page

PAGES: dict[str, Callable[[], RunPage]] = {"plain": plain_page, "hostile": hostile_page}
WIDTHS = (1280, 600, 360)

# Every piece of text with the lines it stands on, every drawing, and what is cut off.
MEASURE = """
(() => {
  const page = document.querySelector('.wm-run');
  const walker = document.createTreeWalker(page, NodeFilter.SHOW_TEXT);
  const texts = [];
  for (let node; node = walker.nextNode();) {
    const parent = node.parentElement;
    if (!node.data.trim() || parent.closest('style, title') || !parent.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects())
      if (box.width > 0.5) texts.push([texts.length, box.left, box.top + scrollY, box.right, box.bottom + scrollY,
                                   node.data.slice(0, 40), parent.closest('bdi, span, dd, dt, li, p, a, h1, h2')
                                     ? [...page.querySelectorAll('*')].indexOf(parent) : -1]);
  }
  const box = element => { const at = element.getBoundingClientRect(); return [at.left, at.top, at.right, at.bottom]; };
  return {
    texts,
    figures: [...page.querySelectorAll('figure')].map(figure => ({
      box: box(figure),
      drawing: figure.querySelector('svg') && box(figure.querySelector('svg')),
      labels: [...figure.querySelectorAll('.wm-y span, .wm-x span')].map(box),
      line: [...figure.querySelectorAll('path')].map(box),
    })),
    cut: [...page.querySelectorAll('*')].filter(element => !element.closest('svg')
      && (getComputedStyle(element).overflow !== 'visible' || getComputedStyle(element).textOverflow !== 'clip'))
      .map(element => element.outerHTML.slice(0, 80)),
    wide: document.documentElement.scrollWidth,
    hit: window.hit === undefined,
  };
})()
"""
STANDS_OUT = "getComputedStyle(document.querySelector('.wm-run')).backgroundColor"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for this module; without Chromium its tests fail and say how to get it."""
    with Browser() as opened:
        yield opened


@pytest.fixture(params=list(PAGES))
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A page as a file."""
    file = tmp_path / f"{request.param}.html"
    file.write_text(page_document(PAGES[request.param]()), encoding="ascii")
    return file


def overlaps(texts: list[list[Any]]) -> list[tuple[str, str]]:
    """Texts of different elements that cover each other; a line's height may reach into its neighbour's by a pixel."""
    found = []
    ordered = sorted(texts, key=lambda item: item[2])
    for place, (_, left, _, right, bottom, words, parent) in enumerate(ordered):
        for _, other_left, other_top, other_right, _, other_words, other_parent in ordered[place + 1 :]:
            if other_top >= bottom - 2:
                break
            if parent != other_parent and left < other_right - 1 and other_left < right - 1:
                found.append((words, other_words))
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_is_laid_out_whole(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.open(page, width=width, dark=dark)
    found = browser.run(MEASURE)
    assert found["wide"] <= width, "the page is wider than its window"
    assert found["cut"] == []
    assert found["hit"], "markup of a run was executed"
    assert len(found["texts"]) > 50
    for _, left, _, right, _, words, _ in found["texts"]:
        assert 0 <= left < right <= width + 0.5, words
    assert overlaps(found["texts"]) == []
    drawings = 0
    for figure in found["figures"]:
        left, top, right, bottom = figure["box"]
        assert 0 <= left < right <= width
        for box in figure["labels"]:
            assert left - 0.5 <= box[0] < box[2] <= right + 0.5, "a label leaves its figure"
        if figure["drawing"]:
            drawings += 1
            assert figure["drawing"][2] - figure["drawing"][0] > 80
            assert figure["drawing"][3] - figure["drawing"][1] > 100
            for box in figure["line"]:
                assert left - 3 <= box[0] <= box[2] <= right + 3
                assert top <= box[1] <= box[3] <= bottom
    assert drawings >= 6


def test_a_page_asks_for_its_own_file_and_complains_of_nothing(browser: Browser, page: Path) -> None:
    browser.open(page, width=1280)
    assert browser.requested() == [page.as_uri()]
    assert browser.complaints() == []


def test_the_file_forbids_what_it_does_not_need(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "tampered.html"
    intruder = "<script>window.hit = 1</script><img src='https://example.org/x.png'></body>"
    file.write_text(page_document(plain_page()).replace("</body>", intruder), encoding="ascii")
    browser.open(file, width=1280)
    assert browser.run("window.hit === undefined"), "the page's policy lets scripts run"
    assert len(browser.complaints()) == 2, "the script and the image, both refused"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_follows_the_systems_light(browser: Browser, page: Path, dark: bool) -> None:
    browser.open(page, width=1280, dark=dark)
    assert browser.run(STANDS_OUT) == ("rgb(21, 24, 29)" if dark else "rgb(255, 255, 255)")
    picture = browser.picture()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000, "there is nothing on the picture"


def test_paper_is_white_whatever_the_system_says(browser: Browser, page: Path) -> None:
    browser.open(page, width=1000, dark=True, paper=True)
    assert browser.run(STANDS_OUT) == "rgb(255, 255, 255)"


NOTEBOOK = """<!doctype html><meta charset="utf-8"><style>
body { font-family: serif; }
.jp-Rendered h1, .jp-Rendered h2 { font-weight: bold; margin: 40px; text-align: center; color: red; }
.jp-Rendered dl dt { float: left; font-weight: bold; } .jp-Rendered dd { margin-left: 40px; text-align: right; }
.jp-Rendered ul { list-style: disc; padding-left: 40px; } .jp-Rendered p { margin-bottom: 20px; }
.jp-Rendered svg { max-width: 50%; } .jp-Rendered a { color: red; text-decoration: underline; }
</style><body data-jp-theme-light="THEME"><div class="jp-Rendered"><h2 id="outside">Mine</h2><p class="wm">text</p>
PAGE</div>"""
OUTSIDE = """
[getComputedStyle(document.getElementById('outside'))].map(
  s => [s.color, s.fontFamily, s.fontSize, s.margin, s.textAlign])
"""
INSIDE = """
[...document.querySelectorAll('.wm-run *')].filter(e => !e.closest('style')).map(e => {
  const s = getComputedStyle(e);
  return [e.tagName, s.color, s.fontWeight, s.fontFamily, s.float, s.textAlign, s.listStyleType, s.margin, s.maxWidth];
}).map(String)
"""


def test_a_notebooks_style_and_the_pages_leave_each_other_alone(browser: Browser, tmp_path: Path) -> None:
    def opened(name: str, html: str) -> tuple[Any, Any]:
        file = tmp_path / f"{name}.html"
        file.write_text(html, encoding="utf-8")
        browser.open(file, width=1280)
        return browser.run(OUTSIDE) if "outside" in html else None, browser.run(INSIDE)

    notebook = NOTEBOOK.replace("THEME", "true")
    page = page_html(plain_page())
    alone_outside, _ = opened("without", notebook.replace("PAGE", ""))
    outside, inside = opened("with", notebook.replace("PAGE", page))
    _, standalone = opened("alone", page_document(plain_page()))
    assert outside == alone_outside
    assert inside == standalone


def test_a_notebooks_theme_counts_before_the_systems(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "cell.html"
    file.write_text(NOTEBOOK.replace("THEME", "false").replace("PAGE", page_html(plain_page())), encoding="utf-8")
    browser.open(file, width=1280)
    assert browser.run(STANDS_OUT) == "rgb(21, 24, 29)"


def test_a_cells_page_put_into_a_document_is_inert(browser: Browser, tmp_path: Path) -> None:
    file, page = tmp_path / "cell.html", page_html(hostile_page())
    file.write_text("<!doctype html><title>x</title><div id=cell></div>", encoding="utf-8")
    browser.open(file, width=1280)
    browser.run(f"document.getElementById('cell').innerHTML = {page!a}")
    assert browser.run("new Promise(done => setTimeout(() => done(window.hit === undefined), 50))")
    assert browser.run("document.querySelectorAll('script, img, iframe, object, [onerror]').length") == 0
    assert browser.requested() == [file.as_uri()]


def test_a_cells_page_saved_as_a_file_needs_no_encoding(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "cell.html"
    file.write_text(page_html(plain_page()), encoding="ascii")
    browser.open(file, width=1280)
    found = browser.run(MEASURE)
    assert overlaps(found["texts"]) == []
    assert found["wide"] <= 1280
    assert "Open on the server ↗" in [item[5] for item in found["texts"]]
