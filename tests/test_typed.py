"""What several threads read at once from the first moment on, as the daemon's workers do, is read without a crash."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mirror

AT_ONCE = """
import datetime as dt, sys, threading
from mirror.records.operations import Change, Edit, Entry, encode_entry, entry_of_json
sys.setswitchinterval(1e-6)
now = dt.datetime.now(dt.UTC)
edit = Edit(config={"a": Change(value=1)})
whose = dict(id="x", entity="e", project="p", run_id="r", storage_id=None)
content = encode_entry(Entry(**whose, operation=edit, created_at=now))
gate, read = threading.Barrier(8), []

def look():
    gate.wait()
    read.append(entry_of_json(content).operation)

threads = [threading.Thread(target=look) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert read == [edit] * 8
"""


@pytest.mark.parametrize("trial", range(6))  # without the lock about every third crashes
def test_a_type_that_many_threads_meet_first_is_built_once(trial: int) -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_else_of_ours_decodes_into_types_by_itself() -> None:
    by_itself = re.compile(r"msgspec\.(convert|json\.decode)\(|msgspec\.json\.Decoder\((?!msgspec\.Raw)")
    root = Path(mirror.__file__).parent
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if any(by_itself.search(line) and "type=str" not in line for line in path.read_text().splitlines())
    }
    assert found <= {"typed.py", "check/state_files.py"}, "see mirror/typed.py: two threads at once crash the process"
