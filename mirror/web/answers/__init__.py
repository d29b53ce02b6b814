"""What the browser's scripts ask for, one file a subject: each answer is a function of a request's context."""
