"""Loss over mixture, params and tokens: one way of crossing scales a file."""
