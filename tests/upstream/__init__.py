"""W&B's own system tests, unmodified, against the sandbox: the judge of the server that all other tests stand on.

Words: a **checkout** is a work tree of wandb's repository, given by its path and never changed; the **backend** is a
sandbox and the fixture service beside it, in a process of their own, and the **front** of one has all that is read
answered by gateways; an **environment** is a virtual environment with one version of the SDK and what wandb's tests ask
for. Nothing of wandb's code stands here. `python -m tests.upstream --help` says how to run it, `docs/upstream-tests.md`
what came of it.
"""
