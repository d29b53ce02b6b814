"""From rows to records: every question about what is held, one file a subject. Never writes.

A question is a function of a `Queryable`: the planner of a pull, the replay, the commands and `mirror.Api` read
the same rows by the same words.
"""
