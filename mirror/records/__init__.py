"""Frozen values that travel between the edges: what W&B said, what the lake holds. No I/O here, ever.

`runs` holds a run as the server sent it, `projects` the projects and sweeps around it, `artifacts` versions and
manifests, `console` lines of output. Raw texts stay beside the parsed values: nothing that was sent is lost.
"""
