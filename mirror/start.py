"""Where `wandb-mirror` begins: Ctrl-C while the program is still being imported ends with no traceback either."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the program."""
    gc.set_threshold(20_000)  # what was imported stays, and what work leaves is little: a tenth of a command's time
    try:
        from mirror.cli import main as program
    except KeyboardInterrupt:
        sys.exit(130)
    program()
