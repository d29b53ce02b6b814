"""`Api`, `Run` and their objects: W&B's public API, answered from the mirror and never from the network.

Words: a **run path** is `entity/project/run_id`; the **overlay** is what waits in the outbox, shown over what the lake
holds; **pending** operations are those that the server does not have yet.

It reads `store` and `outbox` and writes to `outbox` alone. It knows no HTTP and no SQL, and opens no socket. Members
carry the SDK's names and behave as the SDK's do, except where the SDK is wrong; their docstrings say where.
"""
