"""A page's commands and scripts, typed into one bash from the first to the last.

`wandb-mirror` and Python are children of a program past its imports (`tests.cli.warm`); what this machine need not
have, or what is to leave it alone, does nothing. Every other command is the real one, and the first that fails ends the
page.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.cli.warm import warm_program
from tests.pages.blocks import Block
from tests.pages.prepared import Prepared, environment

PATIENCE_S = 120
# Service managers, schedulers and installers; the demo has a test of its own.
NOT_HERE = ("systemctl", "loginctl", "journalctl", "pip", "jupyter")
_CLIENT = """
import json, os, signal, socket, sys
link = socket.socket(fileno=os.dup(int(os.environ["WARM"])))
kind, *arguments = sys.argv[1:]
typed = sys.stdin.buffer.read()
asked = {"arguments": arguments, "env": dict(os.environ), "cwd": os.getcwd()}
if kind == "script":
    asked["script"], typed = typed.decode(), b""
files = [os.memfd_create("answer") for _ in range(4)]
for file, content in zip(files, (json.dumps(asked).encode(), typed)):
    os.pwrite(file, content, 0)
if kind == "staying":  # at a terminal, until Ctrl-C
    terminal, files[2] = os.openpty()
socket.send_fds(link, [b"."], files)
answers = link.makefile("r")
child = int(answers.readline())
if kind == "staying":
    import threading
    threading.Timer(1.0, os.kill, [child, signal.SIGINT]).start()
status = os.waitstatus_to_exitcode(int(answers.readline()))
for file, stream in zip(files[2:], (sys.stdout, sys.stderr)):
    if os.isatty(file):
        continue
    stream.buffer.write(os.pread(file, os.fstat(file).st_size, 0))
    stream.flush()
sys.exit(0 if kind == "staying" and status == 130 else status)
"""
_HEAD = r"""
set -Eeuo pipefail
trap 'echo "$at: $BASH_COMMAND" >&2' ERR
wandb-mirror() {  # what stays until Ctrl-C gets that after a moment
    local kind=command word
    for word in "$@"; do case "$word" in daemon|serve|--watch) kind=staying;; esac; done
    if [ "${1:-}" = demo ]; then return 0; fi
    "$PYTHON" -IS "$CLIENT" "$kind" "$@"
}
docker() {  # what a container would be asked, asked of the program
    while [ $# -gt 0 ]; do
        case "$1" in
            daemon|reader) shift; if [ "${1:-}" = wandb-mirror ]; then shift; fi
                if [ $# -gt 0 ]; then wandb-mirror "$@"; fi; return;;
        esac
        shift
    done
}
"""


def typed(held: Prepared, blocks: Iterable[Block], folder: Path) -> subprocess.CompletedProcess[str]:
    """Type the blocks of a page in a folder that holds a home called `mirror`."""
    client = folder / ".client.py"
    client.write_text(_CLIENT, encoding="utf-8")
    stubs = "".join(f"{name}() {{ :; }}\n" for name in NOT_HERE)
    script = f"{_HEAD}{stubs}" + "".join(_typed(block) for block in blocks)
    link = warm_program().descriptor
    env = {
        **environment(held.cli),
        **{name: str(folder) for name in ("HOME", "USERPROFILE")},
        "WANDB_MIRROR_HOME": str(folder / "mirror"),
        "PYTHON": sys.executable,
        "CLIENT": str(client),
        "WARM": str(link),
    }
    return subprocess.run(
        ["bash", "-c", script], env=env, cwd=folder, pass_fds=[link], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def _typed(block: Block) -> str:
    if block.language == "python":
        return f'at={block.place}\n"$PYTHON" -IS "$CLIENT" script <<\'END_OF_SCRIPT\'\n{block.text}END_OF_SCRIPT\n'
    lines = [line for line in block.text.splitlines() if not line.startswith("export WANDB_API_KEY=...")]
    return "\n".join([f"at={block.place}", *lines, ""])
