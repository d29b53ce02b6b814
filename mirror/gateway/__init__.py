"""W&B's own API, answered from a home with no server behind it: unmodified `wandb` scripts read the mirror.

Words: the **gateway** is the HTTP server; the **engine** executes any GraphQL document over the lake and the outbox; a
**request context** is what one document sees, one commit of the lake and what is queued over it; a **signed address**
leads to bytes on the gateway itself.

It owns its key and no other state. What a client changes becomes an operation in the outbox, as with `mirror.Run`. It
never asks W&B, never writes the lake, and knows what is W&B's on the wire from `wandb_protocol` alone.
"""
