"""Bringing a run upstream that was trained without a server: look how far the server is, go on from there, look again.

The protocol is that of W&B's own SDK. Nothing here remembers how far a delivery came: the server says it, each time.
"""
