"""The long form of all histories and system metrics: a row for each key of each step, for SQL over all runs."""
