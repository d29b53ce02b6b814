"""What mkdocs asks while it builds the site: pages get their generated parts, and links into the repository their page.

Nothing of the site is fetched from elsewhere: the search of a site that is opened from a disk takes a script, which the
theme would load from a public server, and which stands here instead.

The Markdown is written for a reader of the repository. A link from it to a file that is no page of the site becomes
plain text there, and the changelog and the map for contributors, which stand beside `docs/`, become pages.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from tests.pages.generated import DOCS, filled

ROOT = DOCS.parent
# Files beside `docs/` that are pages of the site, and others whose content a page has.
BESIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
SHOWN_ON = {**BESIDE, "README.md": "index.md", "config/mirror.example.toml": "reference/configuration.md"}
SCRIPT = Path(__file__).with_name("iframe-worker.js")
ELSEWHERE = "https://unpkg.com/iframe-worker/shim"
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?![a-z]+:)([^)\s#]*)(#[^)\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that stand beside `docs/`, and the script of the search."""
    from mkdocs.structure.files import File

    for source, page in BESIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, f"assets/{SCRIPT.name}", content=SCRIPT.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in what is generated, then lead links to pages."""
    return linked(filled(markdown), page.file.src_uri)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Take the script of the search from the site itself."""
    return output.replace(ELSEWHERE, posixpath.relpath(f"assets/{SCRIPT.name}", posixpath.dirname(page.url) or "."))


def on_post_template(output: str, **_: Any) -> str:
    """The same on the page for what is not there."""
    return output.replace(ELSEWHERE, f"/assets/{SCRIPT.name}")


def linked(markdown: str, page: str) -> str:
    """The Markdown of a page with links that lead to pages of the site, or none.

    Args:
        markdown: as it stands in the repository, where links are relative to the file.
        page: where the page is in the site, such as `guides/sql.md`.
    """
    source = next((name for name, place in BESIDE.items() if place == page), f"docs/{page}")

    def lead(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        if not target:
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        inside = path.removeprefix("docs/") if path.startswith("docs/") else SHOWN_ON.get(path)
        if inside is None or (DOCS / inside).is_dir():
            inside = None if inside is None else f"{inside}/index.md"
        if inside is None:
            return text
        return f"[{text}]({posixpath.relpath(inside, posixpath.dirname(page) or '.')}{anchor})"

    return _LINK.sub(lead, markdown)
