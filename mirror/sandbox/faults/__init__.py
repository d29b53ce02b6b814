"""Faults on purpose, which shape requests and answers until they are used up; rate limits that the server tells."""
