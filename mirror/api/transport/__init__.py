"""Bytes to and from a server: one GraphQL request, one download, one upload. Tries and bounds are kept here."""
