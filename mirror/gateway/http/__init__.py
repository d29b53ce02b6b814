"""The gateway as an HTTP server: who may ask, how much at once, and bytes in and out. What is answered is the engine's.

Words: a **budget** bounds the bytes of all requests or answers under way; a client that **stalls** neither reads nor
sends, and gives way to those who come.
"""
