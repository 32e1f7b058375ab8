"""How late it may be called when something is to be removed for its age."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockEvidence:
    """What speaks for a time when a daemon begins to remove things, before it has written any.

    Attributes:
        now_s: Unix time of the machine's clock.
        monotonic_s: Its monotonic clock, seconds.
        newest_s: Unix time of the newest thing that is stored; None where nothing is.
    """

    now_s: float
    monotonic_s: float
    newest_s: float | None


def plausible_now_s(begun: ClockEvidence, *, now_s: float, monotonic_s: float) -> float:
    """Return the latest Unix time that there is evidence for.

    A clock that is far ahead, at boot or after a correction, makes everything look old. No more
    time is taken to have passed than this daemon has lived through since the newest thing was
    stored. The time before its start is left out: what is stored is then kept a while longer.

    Args:
        begun: What was known at first.
        now_s: Unix time of the machine's clock.
        monotonic_s: Its monotonic clock, seconds.
    """
    known_s = begun.now_s if begun.newest_s is None else min(begun.newest_s, begun.now_s)
    return min(now_s, known_s + max(0.0, monotonic_s - begun.monotonic_s))
