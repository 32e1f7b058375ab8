"""What the daemon knows besides the values of ``bsadvise.model``: callers, errors and transitions.

Standard library and ``bsadvise.model`` only. ``validation`` checks the values that come in.
"""
