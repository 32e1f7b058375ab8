"""Client of the bsadvise batch-size advisor."""
