"""The documentation: what of it is made from the code, and what of it is run.

A page of `docs/` is written by hand but for its generated parts: a line `<!-- generated: NAME -->` stands for what NAME
of `generated` makes of the code, and mkdocs puts it there (`hooks`). Fenced blocks are commands, queries and scripts of
a person (`blocks`); tests run each of them against one prepared mirror (`prepared`).
"""
