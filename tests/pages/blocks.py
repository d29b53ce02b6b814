"""The fenced blocks of the pages that people type or paste: commands, queries, scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LANGUAGES = ("sh", "sql", "python", "toml")
_FENCE = re.compile(
    r"^```(?P<language>[\w-]+)(?: title=\"(?P<title>[^\"]*)\")?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """One block of a page."""

    page: str  # relative to the repository
    line: int
    language: str
    title: str  # says where it is typed, when that is not a shell, the mirror's SQL or Python
    text: str

    @property
    def place(self) -> str:
        """For a message."""
        return f"{self.page}:{self.line}"


def pages() -> dict[str, list[Block]]:
    """The blocks of README and of each page of `docs/` that has any; what two pages say is of the first."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found: dict[str, list[Block]] = {}
    said: set[str] = set()
    for page in (path.relative_to(ROOT).as_posix() for path in paths):
        new = [block for block in blocks(page) if block.language in LANGUAGES and block.text not in said]
        said |= {block.text for block in new}
        if new:
            found[page] = new
    return found


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, line, match["language"], match["title"] or "", match["text"])
