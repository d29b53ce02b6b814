"""Keeping a lake small and sound: maintenance, and what `verify` and `repair` ask of the tables."""
