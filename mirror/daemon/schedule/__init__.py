"""When work is due: APScheduler by the daemon's clock, and triggers that are values."""
