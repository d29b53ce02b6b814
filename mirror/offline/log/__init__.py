"""A `.wandb` file becomes a run, pure: frames, messages, and what they come to together."""
