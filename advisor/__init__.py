"""The advisor: the daemon that measures, and the worker that runs user code."""

from bsadvise.version import __version__

__all__ = ["__version__"]
