"""What is old is judged by time that has surely passed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from advisor.application.plausible_clock import ClockEvidence, plausible_now_s

TIMES_S = st.floats(0.0, 1e11)
MONOTONIC_S = st.floats(0.0, 1e9)


@given(TIMES_S, st.none() | TIMES_S, TIMES_S, MONOTONIC_S, MONOTONIC_S)
def test_it_is_never_later_than_the_clock_says_or_the_daemon_has_lived(
    begun_s: float, newest_s: float | None, now_s: float, at_s: float, lived_s: float
) -> None:
    begun = ClockEvidence(now_s=begun_s, monotonic_s=at_s, newest_s=newest_s)
    plausible_s = plausible_now_s(begun, now_s=now_s, monotonic_s=at_s + lived_s)
    first_s = begun_s if newest_s is None else min(begun_s, newest_s)
    assert plausible_s <= now_s
    assert plausible_s <= first_s + lived_s + 1e-3


@given(TIMES_S, MONOTONIC_S)
def test_a_clock_that_goes_right_is_believed(begun_s: float, lived_s: float) -> None:
    begun = ClockEvidence(now_s=begun_s, monotonic_s=0.0, newest_s=begun_s)
    now_s = begun_s + lived_s
    assert plausible_now_s(begun, now_s=now_s, monotonic_s=lived_s) == now_s
