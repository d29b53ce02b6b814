"""How a run looks in a notebook: the server's page in a frame, or a page of the mirror's own that needs no network."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape

from mirror.run.facts import RunFacts
from mirror.run.page.html import page_document, page_html
from mirror.run.page.server_page import iframe
from mirror.run.page.source import run_page
from mirror.run.page.text import element


class RunLook(RunFacts):
    """The run as HTML."""

    def to_html(self, height: int = 420, hidden: bool = False, local: bool = False) -> str:
        """The run for a notebook's cell.

        Args:
            height: of the frame, in pixels; a local page is as tall as what it shows.
            hidden: behind a button, or behind a line that unfolds where the page is local.
            local: a page that the mirror makes itself, with nothing to fetch and no script in it: the run's facts,
                what is queued for it, what is not mirrored, charts of its metrics, config and summary. It stands in
                a cell as well as in a file. Without it the SDK's text: a frame with the server's page, which a
                browser fetches when it shows it.

        Returns:
            HTML.
        """
        if local:
            page = page_html(run_page(self))
            return element("details", element("summary", "Display W&amp;B run"), page) if hidden else page
        return iframe(escape(self.url), "run", height, hidden=hidden)

    def page(self, keys: Sequence[str] = ()) -> str:
        """The local page as a whole document, as `wandb-mirror show RUN --html` writes it.

        Args:
            keys: of the metrics that are drawn, globs allowed; none: the first ones.
        """
        return page_document(run_page(self, keys))

    def _repr_html_(self) -> str:
        """The local page, which needs no network; in a notebook of VS Code the run's name, as the SDK has it."""
        return escape(repr(self)) if _in_vscode_notebook() else self.to_html(local=True)


def _in_vscode_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    kernel = getattr(shell, "kernel", None)
    return kernel is not None and kernel.shell.user_ns.get("__vsc_ipynb_file__") is not None
