"""Bytes to and from a server: one GraphQL request, one download, one upload. Limits, tries and bounds are kept here."""
