"""Whether what a home holds is what was written: every byte read again, nothing changed.

Words: a **finding** is one thing that is wrong, of a closed list of kinds, with what is lost by it and what to type;
a home is **sound** when there is none. **Quick** looks at presence and sizes and hashes nothing.

It reads, and only reads: no file below the home is written, created or touched, no lock is taken that a writer waits
for. It never talks to the server. What it says of a home that others write meanwhile is true of one moment: whatever
seems to be missing is looked for again in the newest state before it is said.
"""

from mirror.check.findings import FINDING_KINDS, Damage, FindingKind
from mirror.check.report import VerifyReport
from mirror.check.verify import verify

__all__ = ["FINDING_KINDS", "Damage", "FindingKind", "VerifyReport", "verify"]
