"""The page: what its server answers, and what a real Chromium makes of it."""
