"""Whatever passes the checks is planned with, and soon: no log makes a planner raise.

The suite takes a few hundred logs; ``make nightly`` takes ``BSADVISE_PLANNER_LOGS`` of them, and
looks at the processor time of each call as well. A log that fails is made again by its number, and
``BSADVISE_PLANNER_LOGS=24000:100000`` goes on where a run of the first 24,000 has ended.
"""

from __future__ import annotations

import math
import os

import pytest

from advisor.application.log_size import kept_bytes
from advisor.domain.limits import MOST_LOG_BYTES, MOST_LOG_ENTRIES
from tests.support.builders import a_device, a_request
from tests.support.full_log import full_log
from tests.support.hostile_logs import (
    estimate,
    hostile_command,
    plan_once,
    report,
    search,
    search_that_turns_hostile,
)

NIGHTLY = os.environ.get("BSADVISE_PLANNER_LOGS", "")
FIRST, _, END = (NIGHTLY or "240").rpartition(":")
NUMBERS = range(int(FIRST or 0), int(END))
LIMIT_S = 1.0 if NIGHTLY else math.inf
PARTS = 24
ONCE_RAISED = (756, 1247, 27604, 47439, 65093, 92227)
DEEP_NUMBERS = NUMBERS[::100]
"""Of searches that go far: each takes as long as a hundred others."""


@pytest.mark.timeout(3600 * 6 if NIGHTLY else 120)
@pytest.mark.parametrize("part", range(PARTS))
def test_no_log_makes_a_planner_raise(part: int) -> None:
    numbers = NUMBERS[part::PARTS]
    found = [search(number, LIMIT_S) for number in numbers]
    found += [estimate(number, LIMIT_S) for number in numbers]
    found += [search_that_turns_hostile(number, LIMIT_S) for number in DEEP_NUMBERS[part::PARTS]]
    troubles = [trouble for trouble in found if trouble is not None]
    assert not troubles, report(troubles)


def test_no_log_of_a_command_makes_a_planner_raise() -> None:
    found = [search(number, LIMIT_S, hostile_command) for number in NUMBERS]
    troubles = [trouble for trouble in found if trouble is not None]
    assert not troubles, report(troubles)


@pytest.mark.parametrize("number", ONCE_RAISED)
def test_what_once_made_a_planner_raise_does_no_longer(number: int) -> None:
    troubles = [trouble for trouble in (search(number), estimate(number)) if trouble is not None]
    assert not troubles, report(troubles)


@pytest.mark.parametrize(("target_loss", "lying_share"), [(None, 0.0), (2.0, 0.05)])
def test_the_largest_log_is_planned_with_as_soon(
    target_loss: float | None, lying_share: float
) -> None:
    request, device = a_request(budget_s=2000.0, target_loss=target_loss), a_device()
    log = full_log(request, device, lying_share)
    assert len(log) == MOST_LOG_ENTRIES
    assert sum(map(kept_bytes, log)) >= MOST_LOG_BYTES
    for length in (MOST_LOG_ENTRIES - 1, MOST_LOG_ENTRIES):
        plan_once(request, device, log[:length], LIMIT_S)
