"""What every test finds: one thread for torch, and laws without a deadline."""

from __future__ import annotations

import gc
import os
import signal
import sys

import pytest
from hypothesis import settings

# Failures in the shared suites are then as telling as those in a test file. Before any is imported.
pytest.register_assert_rewrite("tests.support")

# Tests run side by side on few cores, where torch's threads would spin against each other.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell that starts the suite in its background has SIGINT ignored, and what is started inherits
# that: commands that tests interrupt would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A law is not wrong because the machine was busy.
settings.register_profile("bsadvise", deadline=None)
settings.load_profile("bsadvise")


@pytest.fixture(autouse=True, scope="module")
def _collections_pass_over_what_came_before() -> None:
    """Keep collections of garbage short, of which the worker makes one after each command.

    Each would walk the thousands of tests, and the libraries that earlier ones have imported.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """End what a script whose trainer was captured found around it, before fixtures are undone.

    It lasts as long as a worker does: its environment and working directory would be those of the
    tests that follow.
    """
    captured = sys.modules.get("advisor.worker.entries.captured")
    if captured is not None:
        captured.SURROUNDINGS.close()
