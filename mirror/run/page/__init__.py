"""The page of a run: a value that says what is on it, charts, and the HTML that shows it."""
