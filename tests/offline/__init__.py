"""Runs that were trained without a server: what the SDK wrote, what is read of it, and what the lake has then."""
