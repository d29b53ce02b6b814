"""Days of a daemon's life in minutes: one clock that all processes share, and a story that is told by its seed.

Words: the **story** moves the clock and lets things happen; the **remote life** is what others do at W&B, the **hands**
are processes of the mirror's user that queue operations, the **eyes** processes that read; **trouble** is whatever
befalls the network, the server, the clock or the daemon; the **judge** compares the end with the server's truth.

The daemon is the real one in a process of its own, on an event loop whose time is the shared clock. Nothing is patched.
"""
