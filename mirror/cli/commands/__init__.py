"""One file a command: its options, what it asks, what it prints."""
