"""The user's data: the training order, the held-out samples, and batches of any size."""
