"""How answers and progress look: text of others is made harmless here, tables, plots, the prompt, exit statuses."""
