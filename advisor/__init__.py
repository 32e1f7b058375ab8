"""The advisor: the daemon that measures, and the worker that runs user code."""
