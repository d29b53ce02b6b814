"""What the daemon says of itself, and the judgement whether a person is needed."""
