"""The projects of the mirror, and whether anything changed since a browser looked last."""

from __future__ import annotations

from typing import Any

from mirror.errors import NotMirrored
from mirror.gateway.context import RequestContext
from mirror.gateway.listings import digest_of
from mirror.store.engine.meta import lake_app_url
from mirror.store.read.overview import ProjectOverview, project_overviews
from mirror.store.read.projects import last_active, run_counts
from mirror.web.answers.times import utc_text
from mirror.web.asked import Asked


def projects(ctx: RequestContext, _: Asked) -> dict[str, Any]:
    """All projects that are mirrored, by name."""
    try:
        passes = {(one.entity, one.project): one.last_pass_at for one in _overviews(ctx)}
        counts = {(one.entity, one.project): one for one in ctx.recall("run counts", run_counts)}
        active = ctx.recall("last active", last_active)
    except NotMirrored:  # a home that is set up, and was never pulled into
        return {"as_of": None, "deployment": None, "projects": []}
    told = []
    for entity, project in sorted({*passes, *counts, *ctx.waiting}):
        count = counts.get((entity, project))
        told.append(
            {
                "entity": entity, "project": project, "runs": count.runs if count else 0,
                "active": count.active if count else 0, "gone": count.gone if count else 0,
                "last_pass_at": utc_text(passes.get((entity, project))), "last_active": active.get((entity, project)),
                "pending": sum(map(len, ctx.waiting.get((entity, project), {}).values())),
            }
        )  # fmt: skip
    return {"as_of": _as_of(_overviews(ctx)), "deployment": lake_app_url(ctx.lake), "projects": told}


def pulse(ctx: RequestContext, _: Asked) -> dict[str, Any]:
    """What changes when anything does."""
    counts = ctx.mirror.outbox.counts()
    queue = "".join(digest_of(runs) for runs in ctx.waiting.values())
    try:
        commit, as_of = ctx.commit, _as_of(_overviews(ctx))
    except NotMirrored:
        commit, as_of = 0, None
    return {"commit": commit, "queue": queue[:64] + str(counts), "as_of": as_of, "outbox": dict(counts)}


def _overviews(ctx: RequestContext) -> list[ProjectOverview]:
    return ctx.recall("projects", project_overviews)


def _as_of(found: list[ProjectOverview]) -> str | None:
    """When the mirror was brought up to date last."""
    return utc_text(max((one.last_pass_at for one in found if one.last_pass_at is not None), default=None))
