"""What is queued, shown over what is mirrored, and how a change becomes an operation."""
