"""What a session of wandb's tests came to, and the table of it: functions of values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["passed", "failed", "error", "skipped"]


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """The verdicts of one file's tests, by node id."""

    file: str
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)  # last line of what a test that did not pass said
    timed_out: bool = False

    def count(self, verdict: Verdict) -> int:
        return sum(1 for held in self.verdicts.values() if held == verdict)


def read_outcomes(file: str, lines: Iterable[str], *, timed_out: bool = False) -> FileResult:
    """The result of the plugin's lines.

    As pytest counts: a failure outside of the test itself is an error, and an expected failure was skipped. A failure
    weighs more than an error, and both more than having passed.
    """
    verdicts: dict[str, Verdict] = {}
    reasons: dict[str, str] = {}
    for line in lines:
        report = json.loads(line)
        test, verdict = report["test"], _verdict(report["phase"], report["outcome"])
        if test not in verdicts or _WEIGHT[verdict] > _WEIGHT[verdicts[test]]:
            verdicts[test] = verdict
            reasons[test] = _last_line(report["text"])
    kept = {test: text for test, text in reasons.items() if verdicts[test] in ("failed", "error")}
    return FileResult(file=file, verdicts=verdicts, reasons=kept, timed_out=timed_out)


_WEIGHT: dict[Verdict, int] = {"skipped": 0, "passed": 1, "error": 2, "failed": 3}


def _verdict(phase: str, outcome: str) -> Verdict:
    if outcome == "passed":
        return "passed"
    if outcome == "skipped":
        return "skipped"
    return "failed" if phase == "call" else "error"


def _last_line(text: str) -> str:
    """The line that says what was wrong, which pytest marks with E."""
    marked = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    return marked[0] if marked else next((line for line in reversed(text.splitlines()) if line.strip()), "")


def markdown_table(results: Mapping[str, Sequence[FileResult]]) -> str:
    """A Markdown table: a row a file, and for each SDK version what passed, failed, broke and was skipped.

    Args:
        results: The results by SDK version; every version has the same files in the same order.
    """
    versions = list(results)
    columns = [f"{name} ({version})" for version in versions for name in ("passed", "failed", "errors", "skipped")]
    lines = ["| file | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for rows in zip(*results.values(), strict=True):
        lines += [f"| `{rows[0].file}` | " + " | ".join(_cells(row) for row in rows) + " |"]
    totals = [" | ".join(str(sum(r.count(v) for r in rows)) for v in _ORDER) for rows in results.values()]
    return "\n".join([*lines, "| **all** | " + " | ".join(totals) + " |", ""])


_ORDER: tuple[Verdict, ...] = ("passed", "failed", "error", "skipped")


def _cells(result: FileResult) -> str:
    counts = [str(result.count(verdict)) for verdict in _ORDER]
    if result.timed_out:
        counts[0] += " (time limit)"
    return " | ".join(counts)


def failure_list(results: Mapping[str, Sequence[FileResult]]) -> str:
    """Every test that did not pass, with what it said, by SDK version."""
    lines: list[str] = []
    for version, rows in results.items():
        lines += [f"## wandb {version}", ""]
        for row in rows:
            lines += [f"- `{test}`: {row.verdicts[test]}: {text[:300]}" for test, text in row.reasons.items()]
        lines.append("")
    return "\n".join(lines)
