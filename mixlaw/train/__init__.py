"""Training: the only place that imports torch, and only in the modules that compute with it."""
