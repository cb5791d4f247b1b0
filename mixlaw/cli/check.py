"""`mixlaw check`: what is in a run table, and what is wrong with it."""
