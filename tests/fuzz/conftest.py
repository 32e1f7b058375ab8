"""How much is thrown at the server: hundreds of calls in the daily form, thousands nightly."""

from __future__ import annotations

import os

import pytest

CALL_COUNT = int(os.environ.get("BSADVISE_FUZZ_CALLS", "300"))


@pytest.fixture
def call_count() -> int:
    """Return how many malformed calls a test makes."""
    return CALL_COUNT
