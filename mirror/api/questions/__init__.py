"""What is asked of a server: each question is one or more documents, and an answer of records."""
