"""The local mirror of Weights & Biases."""
