"""Trials: which settings are trained next, how far, and how they compare."""
