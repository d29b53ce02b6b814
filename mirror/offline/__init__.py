"""Runs that the SDK trained without a server: found, read, shown at once, and kept until they are delivered.

Words: a **log** is the `.wandb` file that W&B's SDK writes, a transaction log of **records**; it lies in a folder of
its own (`offline-run-…`), beside the files that the run saved. To **add** one is to copy its log into the home, and to
follow it while it grows. A run may have several logs, one for each time that it was resumed.

It owns the copies of the logs, and the rows that the lake has of them. It never writes into the SDK's folders, and
knows no server.
"""
