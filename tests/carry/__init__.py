"""Queued work across an air gap: two homes, and one server that only one of them reaches."""
