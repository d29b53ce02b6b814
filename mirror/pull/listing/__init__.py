"""Listings of a server, page by page: how many runs to ask for, what to do about a bad one, and an end in any case."""
