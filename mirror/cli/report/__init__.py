"""The parts of `wandb-mirror status`: daemon, health, outbox, one run, and all of it live."""
