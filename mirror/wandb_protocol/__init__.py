"""What is W&B's on the wire, for whoever answers as W&B does: the sandbox, and the gateway.

Words: a **document** is a GraphQL text; a **resolver** answers one field; a **connection** is a page of a list, with
opaque **cursors**; a **signed address** lets its holder read or write one thing until it expires; a **refusal** is an
error that the client is meant to see.

It owns the schema and the spellings. It holds no state, serves nothing, and knows neither the sandbox nor the mirror.
"""
