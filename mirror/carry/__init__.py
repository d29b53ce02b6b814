"""Queued work as one file, for a home that has a way to the server: carried across an air gap on a stick.

Words: an **archive** is that file; a **member** is one of its parts, known by its SHA-256; its **manifest** names them
all, is written last and read first.

It owns the form of archives. It delivers nothing, and what is exported stays where it is.
"""
