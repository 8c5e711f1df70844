"""Small probes for tests; worker processes import them too."""
