"""The outbox: what a user asked to change upstream, kept on disk until the server has it.

Words: an **entry** is one operation in one file; its **state** is the folder it lies in:

    new        waits to be delivered                conflict   the remote moved meanwhile: a person must decide
    claimed    a replay is at it                    dead       the server refused it; its reason is in it

To **fold** is to join an edit with the one before it that nobody has begun to deliver; to **set aside** is to move what
is no entry of ours, or is torn, into `aside/`, where `recover` finds what a newer version made of it.

It owns everything below `outbox/`. An entry leaves it only by `finish` and `drop`. It never talks to the server, knows
no lake, and does not look into what is asked, except to fold edits.
"""

from mirror.outbox.folders import Aside
from mirror.outbox.reading import OutboxReader, Placed
from mirror.outbox.recovery import Recovered
from mirror.outbox.spool import Outbox

__all__ = ["Aside", "Outbox", "OutboxReader", "Placed", "Recovered"]
