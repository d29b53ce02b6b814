"""Pages that tests look at: one as a person has it, one as nobody should."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence

from mirror.run.page.html import ChartGroup, Notice, RunPage
from mirror.store.metrics.series import EXACT_POINTS, STRETCHES, KeySpan, MetricSeries, Stretch

SNOWMEN = "\N{SNOWMAN}" * 40
MARKUP = "<script>window.hit=1</script><img src=x onerror=window.hit=1>'\"&</style></title></svg>-->"


def series(key: str, points: Iterable[tuple[int, float]]) -> MetricSeries:
    """A metric's line, made in Python as the store makes it in SQL."""
    held = list(points)
    finite = [(value, step) for step, value in held if math.isfinite(value)]
    low, high = (min(finite), min((-value, step) for value, step in finite)) if finite else (None, None)
    span = KeySpan(
        key=key, points=len(held), first_step=held[0][0], last_step=held[-1][0], first=held[0][1], last=held[-1][1],
        low=low[0] if low else None, high=-high[0] if high else None,
    )  # fmt: skip
    width = 0.0 if len(held) <= EXACT_POINTS else (span.last_step - span.first_step) / STRETCHES
    cut: dict[int, list[tuple[int, float]]] = {}
    for step, value in held:
        place = min(STRETCHES - 1, math.floor((step - span.first_step) / width)) if width else step
        cut.setdefault(place, []).append((step, value))
    return MetricSeries(
        span=span,
        stretches=tuple(_stretch(part) for part in cut.values()),
        low_step=low[1] if low else None,
        high_step=high[1] if high else None,
    )


def _stretch(part: Sequence[tuple[int, float]]) -> Stretch:
    finite = [value for _, value in part if math.isfinite(value)]
    return Stretch(
        first_step=part[0][0],
        last_step=part[-1][0],
        low=min(finite, default=None),
        high=max(finite, default=None),
        mean=min(max(math.fsum(value / len(finite) for value in finite), min(finite)), max(finite)) if finite else None,
        nan=sum(1 for _, value in part if math.isnan(value)),
        above=sum(1 for _, value in part if value == math.inf),
        below=sum(1 for _, value in part if value == -math.inf),
    )


def long_run(steps: int = 50_000) -> list[MetricSeries]:
    """Noisy curves, one of them with a spike of a single step and a stretch of NaN."""
    rng = random.Random(7)
    every = range(0, steps, max(1, steps // 5000))
    loss = [(step, 2.3 * math.exp(-step / steps * 4) + rng.gauss(0, 0.06) + 0.15) for step in every]
    loss[3700] = (loss[3700][0], 6.2)
    gap = [(step, math.nan if 2000 < place < 2400 else value) for place, (step, value) in enumerate(loss)]
    return [
        series("loss", loss),
        series("grad_norm", gap),
        series("lr", [(step, 3e-4 * 0.5 * (1 + math.cos(math.pi * step / steps))) for step in every]),
        series(
            "val/accuracy", [(step, 1 - math.exp(-step / steps * 3) * 0.9) for step in range(0, steps, steps // 40)]
        ),
        series("val/loss", [(step, math.exp(-step / steps * 3) + 0.3) for step in range(0, steps, steps // 12)]),
        series("system/tokens", [(step, step * 4096.0) for step in every]),
    ]


def plain_page() -> RunPage:
    """The page of a training, as it should look."""
    loss, grad, rate, accuracy, val_loss, tokens = long_run()
    return RunPage(
        name="mlp-64-wide", path=("aurora", "digits", "k3v9x2ab"), url="https://wandb.ai/aurora/digits/runs/k3v9x2ab",
        state="finished",
        facts=(
            ("User", "Ada Lovelace"), ("Created", "2026-03-04 09:15 UTC"), ("Duration", "2 h 41 min"),
            ("Last step", "49,990"), ("Group", "mlp"), ("Commit", "a1b2c3d4e5f6"),
        ),
        tags=("demo", "digits", "baseline"),
        notes="Wider hidden layer, same schedule.\nThe spike at 37,000 is the restart.",
        notices=(
            Notice(kind="pending", title="1 change the server does not have yet",
                   lines=("2026-03-04 12:00 UTC: change tags, config lr",)),
            Notice(kind="missing", title="Not in this mirror", lines=("the bytes of 3 files, left out or failed",)),
        ),
        groups=(
            ChartGroup(title="", series=(loss, grad, rate)),
            ChartGroup(title="val", series=(accuracy, val_loss)),
            ChartGroup(title="system", series=(tokens,)),
        ),
        config={
            "name": "mlp-64-wide", "hidden": 64, "learning_rate": 0.0003, "weight_decay": 1e-4, "seed": 1,
            "epochs": 12, "batch": 32, "optimizer": {"name": "adamw", "betas": [0.9, 0.999], "eps": 1e-8},
            "compile": True, "resume": None,
        },
        summary={
            "loss": 0.192131, "val/accuracy": 0.9542, "val/loss": 0.35123, "epoch": 12, "_step": 49990,
            "best": {"val/accuracy": 0.9611, "step": 41250},
            "confusion": {"_type": "table-file", "path": "media/table/confusion_12.table.json"},
        },
        synced="2026-03-04 12:10 UTC",
    )  # fmt: skip


def hostile_page() -> RunPage:
    """The page of a run whose every text is markup, too long or in another script, and whose numbers are none."""
    largest = 1.7976931348623157e308
    long_word = "gradient_norm_of_layer_" * 12
    lines = [
        series(MARKUP, [(0, 1.0), (1, 2.0)]),
        series(long_word, [(step, step % 7) for step in range(30)]),
        series("only one", [(17, 0.25)]),
        series("constant", [(step, 0.1) for step in range(50)]),
        series("zeros", [(step, 0.0) for step in range(400)]),
        series("never finite", [(0, math.nan), (1, math.inf), (2, -math.inf)]),
        series("all kinds", [(0, 1.0), (1, math.nan), (2, 2.0), (3, math.inf), (4, 3.0), (5, -math.inf), (6, 1.0)]),
        series("largest", [(0, -largest), (1, largest)]),
        series("tiny", [(0, 5e-324), (1, 1e-323)]),
        series("nearly equal", [(step, 1e9 + step / 10) for step in range(30)]),
        series("nearer still", [(0, 1e16), (1, 1e16 + 2)]),
        series("far steps", [(0, 1.0), (2**62, -1e-9)]),
        series("\u05d0\u05d1\u05d2 \u202e reversed", [(0, 3.0), (9, 4.0)]),
        series("e\u0301\u4e16\u754c\U0001f680\ud800\0\x85", [(0, -12345.678), (9, 123456.7)]),
    ]
    return RunPage(
        name=f"{MARKUP} {SNOWMEN}", path=(MARKUP, "a" * 400, f"r1\0\n{MARKUP}"),
        url="javascript:alert(1)", state=MARKUP,
        facts=(("User", MARKUP), ("Group", "w" * 900), ("Created", "yesterday")),
        tags=(MARKUP, "t" * 500, "\u202egnp.exe", *(f"tag{number}" for number in range(100))),
        notes=f"{MARKUP}\n\n" + "x" * 9000,
        notices=(
            Notice(kind="gone", title="Deleted on the server. The mirror keeps what it holds."),
            Notice(kind="pending", title="70 changes", lines=tuple(f"{MARKUP} {n}" for n in range(70))),
        ),
        groups=(ChartGroup(title=MARKUP, series=tuple(lines)),),
        rest=tuple(
            KeySpan(
                key=f"{MARKUP}{n}", points=3, first_step=0, last_step=2, first=0.0, last=math.nan, low=0.0, high=1.0
            )
            for n in range(2500)
        ),
        config={MARKUP: MARKUP, "deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}},
                "w" * 3000: "v" * 9000,
                **{f"key{number}": number for number in range(2000)}},
        summary={"nan": math.nan, "none": None, "empty": {}, "list": [[1] * 500], "big": 10**300,
                 "media": {"_type": MARKUP, "path": MARKUP}},
    )  # fmt: skip
