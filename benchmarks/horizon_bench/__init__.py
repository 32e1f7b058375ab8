"""Whether a search of 1 or 5 % of a training names the batch size and peak rate of all of it."""
