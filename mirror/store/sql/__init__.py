"""SQL of people: a connection with friendly views, what it refuses, and answers with every value exact.

Words: a **statement** is what a person typed; the **guard** lets those pass that only read the mirror; a **table call**
is `logged_table('run', 'key')` in one. `mirror.connect()` and `wandb-mirror sql` are made of this.
"""
