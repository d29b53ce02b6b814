"""Folders whose files go up by themselves: look, decide, queue, remember."""
