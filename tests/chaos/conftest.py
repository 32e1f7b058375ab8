"""How hard the daemon is shaken: a dozen kills in the daily form, a hundred in the nightly."""

from __future__ import annotations

import os

import pytest

KILL_COUNT = int(os.environ.get("BSADVISE_CHAOS_KILLS", "6"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kill_seed" in metafunc.fixturenames:
        metafunc.parametrize("kill_seed", range(KILL_COUNT))
