"""A lake that a group shares: PostgreSQL and an S3 server are real ones, started for each worker of the suite."""
