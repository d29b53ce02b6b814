"""The real wandb SDK against the sandbox: what passes here may be believed by every other test."""
