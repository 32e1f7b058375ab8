"""What every test finds: one thread for torch, and laws without a deadline."""

from __future__ import annotations

import os

from hypothesis import settings

# Tests run side by side on few cores, where torch's threads would spin against each other.
os.environ["OMP_NUM_THREADS"] = "1"

# A law is not wrong because the machine was busy.
settings.register_profile("bsadvise", deadline=None)
settings.load_profile("bsadvise")
