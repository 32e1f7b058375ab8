"""The training loop, its state and what is observed of it."""
