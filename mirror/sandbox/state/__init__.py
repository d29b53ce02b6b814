"""The truth that is served, in memory and under one lock: people, projects, runs, histories, files, artifacts.

`sandbox_state` is the whole, made of one file a subject; `records` are what it remembers, and change nowhere else.
"""
