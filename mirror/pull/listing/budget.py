"""How many runs to ask for in one page: grow while it goes well, halve when it does not."""

from __future__ import annotations

from dataclasses import dataclass, replace

# A page lives in memory several times over (bytes, records, rows), so it is kept well below what a small machine has.
PAGE_CHARACTERS = 32_000_000


@dataclass(frozen=True, kw_only=True)
class PageSize:
    """The size of the next page, and what was learnt about the server's limits."""

    runs: int  # ask for so many
    ceiling: int  # never for more
    limit: int  # the ceiling that the configuration allows

    @classmethod
    def starting(cls, start: int, ceiling: int) -> PageSize:
        """Begin with `start` runs, but never more than `ceiling`."""
        return cls(runs=min(start, ceiling), ceiling=ceiling, limit=ceiling)

    def after_success(
        self, *, asked: int, listed: int, more: bool, characters: int, seconds: float, target_s: float
    ) -> PageSize:
        """The next size after a page that came.

        Args:
            asked: runs asked for.
            listed: runs that came.
            more: whether the server says that more follow.
            characters: how long the documents of its runs were; the next page is as many runs as keep within
                `PAGE_CHARACTERS` if they are alike.
            seconds: how long the server took; waits for its limits say nothing about the size.
            target_s: a page slower than half of this does not grow, since twice the runs would miss the target.
        """
        size = self
        if more and 0 < listed < asked:  # the server has a cap of its own
            size = replace(self, runs=listed, ceiling=listed)
        elif seconds * 2 <= target_s:
            size = replace(self, runs=min(self.ceiling, max(self.runs, asked) * 2))
        fitting = max(1, PAGE_CHARACTERS * listed // characters) if characters else size.runs
        return replace(size, runs=min(size.runs, fitting))

    def after_failure(self, *, asked: int) -> PageSize:
        """Half of what just failed; three quarters of it is the most that is tried again in this pass.

        So the sizes close in on the server's limit in a few steps, and do not run into it on every other page.
        """
        return replace(self, runs=max(1, asked // 2), ceiling=max(1, asked * 3 // 4))

    def after_stepping_over(self) -> PageSize:
        """One run was to blame and not the size: the ceiling is the configured one again."""
        return replace(self, ceiling=self.limit)
