"""From records to rows: what a pass or a replay decided, in one transaction, and what the pull has to know for that.

Nothing here is imported by those who only read.
"""
