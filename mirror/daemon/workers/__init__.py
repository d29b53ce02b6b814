"""The tasks that do the work, how they are run beside one another, and whether they move."""
