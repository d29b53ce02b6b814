"""What `edit`, `upload`, `outbox` and `replay` share: entries, a round of deliveries, and how it would go."""
