"""The version of bsadvise, of the client and the daemon alike.

It stands here alone: the build reads it from here, and a checkout needs no installation to know it.
"""

from __future__ import annotations

__version__ = "0.1.0"
