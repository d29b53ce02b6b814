"""`python -m tests.upstream --checkout PATH --sdk 0.28.2`: run W&B's own tests against the sandbox."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .results import FileResult, failure_list, markdown_table
from .runner import backend, make_environment, open_session, run_file
from .selection import FILES


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.upstream", description=__doc__)
    parser.add_argument("--checkout", type=Path, required=True, help="a work tree of wandb's repository; only read")
    parser.add_argument("--sdk", action="append", required=True, help="SDK version from the registry; may be repeated")
    parser.add_argument("--files", nargs="+", default=list(FILES), help="paths or node ids below tests/system_tests")
    parser.add_argument("--gateway", action="store_true", help="answer what only reads by a gateway over a mirror")
    parser.add_argument("--output", type=Path, help="write the table here too")
    parser.add_argument("--failures", type=Path, help="write every test that did not pass here, with its reason")
    parser.add_argument("--limit", type=float, default=900, help="seconds for one file (default: %(default)s)")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(tempfile.gettempdir()) / "wandb-mirror-upstream-environments",
        help="where the virtual environments are kept (default: %(default)s)",
    )
    options = parser.parse_args()
    command = [sys.executable, "-m", "tests.upstream.backend", *(["--gateway"] if options.gateway else [])]
    results: dict[str, list[FileResult]] = {}
    for version in options.sdk:
        requirements = options.checkout / "requirements" / "requirements_test.txt"
        environment = make_environment(options.environments, version, requirements)
        with open_session(options.checkout, environment, limit_s=options.limit) as session:
            # A backend for each file: what one leaves behind is not the next one's business.
            results[version] = []
            for file in options.files:
                with backend(session, command):
                    result = run_file(session, file)
                counts = ", ".join(f"{result.count(v)} {v}" for v in ("passed", "failed", "error", "skipped"))
                print(f"{version} {file}: {counts}", file=sys.stderr, flush=True)
                results[version].append(result)
    table = markdown_table(results)
    print(table)
    if options.output is not None:
        options.output.write_text(table, encoding="utf-8")
    if options.failures is not None:
        options.failures.write_text(failure_list(results), encoding="utf-8")


if __name__ == "__main__":
    main()
