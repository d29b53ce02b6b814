"""The history of one run: its exports and the rows that no export holds become one series of rows, exact in value and
type, as rows or as Arrow."""
