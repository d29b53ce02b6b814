"""The page: what the mirror holds, for people in a browser.

`app` says who may look, `answers/` are the questions that the browser's scripts (`assets/`) ask, one file a subject,
and `static` writes the same pages as files. It knows HTTP and no SQL; what it changes goes to the outbox.
"""
