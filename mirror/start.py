"""Where `wandb-mirror` begins: Ctrl-C while the program is still being imported ends with no traceback either."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the program."""
    try:
        from mirror.cli import main as program
    except KeyboardInterrupt:
        sys.exit(130)
    program()
