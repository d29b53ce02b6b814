"""The history of a run as the SDK gives it: sampled, scanned, exported."""
