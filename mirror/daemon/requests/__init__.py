"""What people ask of a daemon that runs: to pull now, to maintain, to repair; for it alone may write its home.

Words: a **request** is one of these, sent by a command over a socket in the home; a **reply** is one line of the
answer, progress first and the outcome last. Whoever goes away before the outcome ends what was asked.

The socket is a file of the home, which is its owner's alone. What is delivered needs no request: the outbox is watched.
"""
