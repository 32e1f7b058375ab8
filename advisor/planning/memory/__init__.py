"""Memory: what is traced, and which batch fits."""
