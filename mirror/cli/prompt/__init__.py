"""The prompt of `wandb-mirror sql`: what is typed becomes statements, what they answer is printed or paged.

`statements` and `places` are pure: where a statement ends, and what may stand where the cursor is. `completer` offers
it, `running` asks DuckDB in a thread that Ctrl-C can stop, `dot_commands` are the words with a dot, `session` reads and
answers until the end. Nothing here is imported by a command that does not open a prompt.
"""
