"""What runs contain: planned run by run, fetched side by side, noted where it fails."""
