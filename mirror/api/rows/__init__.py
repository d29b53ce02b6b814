"""Answers into records: each field alone, whatever a server makes of it."""
