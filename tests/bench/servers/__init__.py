"""Servers in processes of their own: each says its address and a key, answers, and ends with its standard input."""
