"""W&B to lake. Decide, then act: `plan` holds the rules as functions of values, the rest fetches and commits.

Words: a **pass** is one round over one project. It is a **walk** (every run, in order of creation: the first pull and
each reconcile) or a **look** (what moved since the watermark, and whatever is unsettled: active or failed before).
A **page** is what one request lists; its size adapts. Every page is one commit, so a pass that is cut off goes on where
it stopped.

It never marks a run as gone that the server did not confirm, and never removes one.
"""

from mirror.pull.cycle import PullRequest, pull
from mirror.pull.report import ProjectReport, PullReport, PullWatcher, SilentPull

__all__ = ["ProjectReport", "PullReport", "PullRequest", "PullWatcher", "SilentPull", "pull"]
