"""The rows of a project, of one run and of some runs, as conditions of SQL with marks for values.

Every table names what it is about by the same three columns.
"""

IN_PROJECT = "entity = ? AND project = ?"
OF_RUN = f"{IN_PROJECT} AND run_id = ?"
OF_RUNS = f"{IN_PROJECT} AND run_id IN (SELECT unnest(?::VARCHAR[]))"
