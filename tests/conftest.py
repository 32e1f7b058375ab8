"""What every test finds: one thread for torch, and laws without a deadline."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Failures in the shared suites are then as telling as those in a test file. Before any is imported.
pytest.register_assert_rewrite("tests.support")

# Tests run side by side on few cores, where torch's threads would spin against each other.
os.environ["OMP_NUM_THREADS"] = "1"

# A law is not wrong because the machine was busy.
settings.register_profile("bsadvise", deadline=None)
settings.load_profile("bsadvise")
