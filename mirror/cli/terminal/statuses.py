"""The exit statuses: one meaning each, fixed, and listed in the help of every command."""

from __future__ import annotations

MEANINGS = {
    0: "done",
    1: "a defect of wandb-mirror itself",
    2: "a wrong command line",
    3: "the configuration, an argument or the SQL is wrong",
    4: "no API key, or the server refused it",
    5: "the server, or this mirror, does not have it",
    6: "the server cannot be reached, or asked to come back later",
    7: "the server answered something that W&B does not answer",
    8: "the home, the lake or the disk",
    9: "done, but something was left behind or waits for a person",
    10: "refused, because something could be lost: read the hint",
    130: "interrupted",
}
ANY_COMMAND = (0, 1, 2, 3, 8, 130)
ASKS_SERVER = (4, 5, 6, 7, 10)


def exit_statuses(*more: int) -> str:
    """The end of a command's help: the statuses that any command may have, and its own.

    Args:
        more: what this command may end with beside `ANY_COMMAND`.
    """
    lines = [f"{status:4}  {MEANINGS[status]}" for status in sorted({*ANY_COMMAND, *more})]
    return "\n".join(["\b", "Exit status:", *lines])
