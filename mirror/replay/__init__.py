"""The replay: what waits in the outbox reaches the server once, in order, or is kept with its reason.

Words: to **deliver** an entry is to look at the server, decide, write if need be, and look again; a **receipt** is what
that came to, in the lake; to **bury** is to put an entry aside with the server's words, to **hold** is to let it wait
for a person, since both sides changed the same.

`decide` and `merge` decide about an entry, `order` about its turn, from values alone. `look` sees what they decide on;
`deliveries` looks, decides, sends (`marking`: aliases and tags) and looks again; `forecast` looks and decides in the
same way and sends nothing. `cycle` takes entries from the outbox, those of a run in order and runs side by side;
`ledger` commits what they came to, and only then lets them leave. It asks `api`, writes into `store`, and moves entries
in `outbox`.
"""

from mirror.replay.context import DeliveryContext, ReplayWatcher, Result, SilentReplay
from mirror.replay.cycle import Replayed, replay

__all__ = ["DeliveryContext", "ReplayWatcher", "Replayed", "Result", "SilentReplay", "replay"]
