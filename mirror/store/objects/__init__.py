"""Bytes: objects named by their SHA-256, downloads under way, files that are to be uploaded, files written out."""
