"""Others' clients and older SDKs, unmodified: each is asked of a server, and of the gateway over a mirror of it.

Each lives in an environment of its own, outside of the repository; nothing here runs in the suite.
"""
