"""Measurements: `python -m tests.bench` prints each as a ratio of two things that were measured in the same run.

A *bench* is a function of a context that yields figures; each file has one subject. A *figure* is what we need beside
what something else needs for the same work: medians over *rounds*, in each of which both are measured, now the one
first, now the other, so that both meet whatever else the machine does. A *goal* bounds a ratio. The small size is run
by `test_bench.py` in the default suite, so that no bench rots.
"""
