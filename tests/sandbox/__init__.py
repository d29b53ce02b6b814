"""The sandbox's own tests, over plain HTTP and without the SDK."""
