"""The replay: what waits in the outbox reaches the server once, in order, or is kept with its reason.

Words: to **deliver** an entry is to look at the server, decide, write if need be, and look again; a **receipt** is what
that came to, in the lake; to **bury** is to put an entry aside with the server's words, to **hold** is to let it wait
for a person, since both sides changed the same.

`merge` decides, from values alone; `deliveries` looks and writes for each kind of operation; `cycle` takes entries from
the outbox, those of a run in order and runs side by side; `ledger` commits what they came to, and only then lets them
leave the outbox. It asks `api`, writes into `store`, and moves entries in `outbox`.
"""

from mirror.replay.context import DeliveryContext
from mirror.replay.cycle import Replayed, replay
from mirror.replay.watching import Result, Silent, Watcher

__all__ = ["DeliveryContext", "Replayed", "Result", "Silent", "Watcher", "replay"]
