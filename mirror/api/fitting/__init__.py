"""Documents that fit any server: what it knows is learned once, and what it does not know is not asked."""
