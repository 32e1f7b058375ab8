"""Ways in to the user's code: one module for each kind of entry, each an implementation of Task."""
