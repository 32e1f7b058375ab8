"""Whatever passes the checks is planned with, and soon: no log makes a planner raise.

The suite takes a few hundred logs; ``BSADVISE_PLANNER_LOGS`` of them in ``make nightly``, where the
processor time of each call is looked at as well. A log that fails is made again by its number.
"""

from __future__ import annotations

import math
import os

import pytest

from tests.support.hostile_logs import estimate, report, search

NIGHTLY = int(os.environ.get("BSADVISE_PLANNER_LOGS", "0"))
COUNT = NIGHTLY or 240
LIMIT_S = 1.0 if NIGHTLY else math.inf
PARTS = 24


@pytest.mark.timeout(3600 * 6 if NIGHTLY else 120)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_log_makes_a_planner_raise(part: int) -> None:
    numbers = range(part, COUNT, PARTS)
    found = [search(number, LIMIT_S) for number in numbers]
    found += [estimate(number, LIMIT_S) for number in numbers]
    troubles = [trouble for trouble in found if trouble is not None]
    assert not troubles, report(troubles)
