"""A number."""

WIDTH = 4
