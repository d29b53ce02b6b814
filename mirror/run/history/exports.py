"""The exports of a run's history as files in a folder."""

from __future__ import annotations

import hashlib
import os
import string
from dataclasses import dataclass
from pathlib import Path

from mirror.errors import IncompleteRunHistoryError
from mirror.records.addresses import RunPath
from mirror.run.facts import RunFacts
from mirror.run.history.held import held_history
from mirror.store.objects.checkout import HeldBytes, check_out

SUFFIX = ".runhistory.parquet"
_MOST_BYTES = 200  # of the part of a file's name that names the run
_PLAIN = frozenset(string.ascii_lowercase + string.digits + "-.")


@dataclass(frozen=True)
class DownloadHistoryResult:
    """What became of a download of history exports.

    Attributes:
        paths: the files that are there now, in the order of their steps.
        contains_live_data: there are rows that no export holds.
        errors: why a file could not be written, by its path; None when all were.
    """

    paths: list[Path]
    contains_live_data: bool
    errors: dict[Path, str] | None = None


def write_exports(
    run: RunFacts, download_dir: str | os.PathLike[str], require_complete_history: bool
) -> DownloadHistoryResult:
    """See `RunHistory.download_history_exports`."""
    stored = held_history(run)
    facts = stored.facts
    lacking = None
    if facts is not None and facts.tail_rows:
        lacking = f"{facts.tail_rows} of its rows are in no export"
    elif facts is not None and not facts.complete:
        lacking = facts.reason or "the mirror does not hold it all"
    if lacking is not None and require_complete_history:
        raise IncompleteRunHistoryError(
            f"the exports of {run._run_path} do not hold its whole history: {lacking}",
            hint="require_complete_history=False takes what there is; `scan_history()` has all rows that are mirrored",
        )
    folder = Path(download_dir)
    names = {export_name(run._run_path, number): digest for number, digest in enumerate(stored.exports)}
    found = check_out(
        run._local.objects, [HeldBytes(name=name, object=digest) for name, digest in names.items()], folder, force=True
    )
    outcomes = {written.name: written for written in found}
    errors = {folder / name: written.reason or "" for name, written in outcomes.items() if written.outcome == "skipped"}
    return DownloadHistoryResult(
        paths=[folder / name for name in names if folder / name not in errors],
        contains_live_data=lacking is not None,
        errors=errors or None,
    )


def export_name(run: RunPath, number: int) -> str:
    """The name of one export's file: another one for every run, also where a disk does not tell upper case from lower.

    Args:
        run: entity, project, run id; untrusted.
        number: of the export.
    """
    plain = "_".join(_plain(part) for part in run)
    if len(plain) > _MOST_BYTES:
        plain = f"sha256_{hashlib.sha256(plain.encode()).hexdigest()}"
    return f"{plain}_{number}{SUFFIX}"


def _plain(part: str) -> str:
    """A name with everything percent-encoded but lower-case letters, digits, `-` and `.`."""
    return "".join(
        mark if mark in _PLAIN else "".join(f"%{byte:02X}" for byte in mark.encode("utf-8", "surrogatepass"))
        for mark in part
    )
