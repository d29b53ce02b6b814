"""W&B's filters, orders and columns as SQL over runs."""
