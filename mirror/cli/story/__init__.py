"""The parts of `wandb-mirror demo`."""
