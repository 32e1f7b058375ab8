"""The training data: its order, its loading and the length of an epoch."""
