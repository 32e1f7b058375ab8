"""Trainings of a stated length: complete short ones, and the setting carried to the long one."""
