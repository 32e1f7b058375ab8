"""Measurements of memory that other processes on the device made invalid, to be repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bsadvise.model.commands import Command, RecallAnswers, RunStep, Verify
from bsadvise.model.measurements import Log, Measurement, OutOfMemory
from bsadvise.model.values import Unknown

from advisor.planning.tuning.evidence import InvalidMeasurementsTuning


def sound_measurements(log: Log, tuning: InvalidMeasurementsTuning) -> Iterator[Measurement]:
    """Yield the measurements of a log that are valid, oldest first.

    One that is left out is as one that was never made, so that the plan asks for it again; but no
    more often than ``tuning.max_repeats``, as the device may not settle.
    """
    repeats: Counter[Command | RecallAnswers | Unknown] = Counter()
    for entry in log:
        if is_invalid(entry, tuning) and repeats[entry.command] < tuning.max_repeats:
            repeats[entry.command] += 1
        else:
            yield entry


def is_invalid(entry: Measurement, tuning: InvalidMeasurementsTuning) -> bool:
    """Return whether memory that others took or gave back meanwhile bears on a measurement."""
    if entry.drift_bytes <= tuning.max_drift_bytes:
        return False
    return isinstance(entry.command, RunStep | Verify) or isinstance(entry.outcome, OutOfMemory)
