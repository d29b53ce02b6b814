"""The daemon's decisions, with a clock that the test holds."""
