"""The gateway: unmodified clients of W&B against a mirror, with no server behind it."""
