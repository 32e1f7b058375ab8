"""Measurements of memory that other processes on the device have spoilt, to be made again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bsadvise.model.commands import Command, RunStep, Verify
from bsadvise.model.measurements import Log, Measurement, OutOfMemory
from bsadvise.model.values import Unknown

_TOLERATED_BYTES = 32 << 20
"""Less than this comes and goes on any card, and is below what a prediction is good to."""

_MOST_REPEATS = 2
"""After so many spoilt runs of one command the next is believed: the device will not settle."""


def sound_measurements(log: Log) -> Iterator[Measurement]:
    """Yield the measurements of a log that may be believed, oldest first.

    One that is left out is as one that was never made, so that the plan asks for it again.
    """
    spoilt: Counter[Command | Unknown] = Counter()
    for entry in log:
        if is_spoilt(entry) and spoilt[entry.command] < _MOST_REPEATS:
            spoilt[entry.command] += 1
        else:
            yield entry


def is_spoilt(entry: Measurement) -> bool:
    """Return whether memory that others took or gave back meanwhile bears on a measurement."""
    if entry.drift_bytes <= _TOLERATED_BYTES:
        return False
    return isinstance(entry.command, RunStep | Verify) or isinstance(entry.outcome, OutOfMemory)
