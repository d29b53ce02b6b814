"""Tests of `mirror.run`: what a user of `Api` and `Run` sees."""
