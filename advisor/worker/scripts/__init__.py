"""Training scripts: run as their user runs them, with the points where they train intercepted."""
