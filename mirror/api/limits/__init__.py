"""How much may be asked of a server, and how fast: limits of one host, its own rate budgets, and what was spent.

Words: a **budget** is what the server's RateLimit headers grant to one scope; a **charge** says which budgets a request
is counted in. `transport` asks for leave here before it sends, and tells what came back.
"""
