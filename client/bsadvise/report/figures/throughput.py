"""Samples a second by micro-batch size, and what limits them.

    symbol  meaning                                             unit
    b       micro-batch size                                    samples
    t(b)    seconds of a step, data loading left out            s

A step of few samples takes about as long as one of a single sample: launching its operations
limits it. Where t(b) grows in proportion, computing does. Where a batch takes longer to load than
to compute, loading does, whatever b is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from bsadvise.model.commands import TimeLoader, TimeSteps
from bsadvise.model.explanation import Findings
from bsadvise.model.measurements import LoaderTimes, Measurement, StepTimes
from bsadvise.model.units import format_number, format_seconds
from bsadvise.report.figures.parts import (
    BLUE,
    Row,
    batch_axis,
    layer,
    layered,
    linear_axis,
    rule_across,
    rule_up,
)
from bsadvise.report.values import Figure, Table

_KNEE_SHARE = 0.9
"""Of the most samples a second that were measured: the knee is the least size that has so many."""

_LAUNCH_GROWTH = 1.25
"""A step that takes less than so many times as long with twice the samples is limited by launch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Timed steps of one size.

    Attributes:
        micro_batch_size: b.
        step_times_s: Seconds of each, at least one.
    """

    micro_batch_size: int
    step_times_s: tuple[float, ...]

    @property
    def samples_per_s(self) -> float:
        """Samples a second of the median step."""
        return self.micro_batch_size / median(self.step_times_s)

    @property
    def interval(self) -> tuple[float, float]:
        """Samples a second of the slowest and the fastest tenth of the steps."""
        if len(self.step_times_s) < 2:
            return self.samples_per_s, self.samples_per_s
        tenths = quantiles(self.step_times_s, n=10, method="inclusive")
        return self.micro_batch_size / tenths[-1], self.micro_batch_size / tenths[0]


def timed_steps(log: Sequence[Measurement]) -> tuple[Timed, ...]:
    """Return what was timed, by rising size."""
    times: dict[int, tuple[float, ...]] = {}
    for entry in log:
        if isinstance(entry.command, TimeSteps) and isinstance(entry.outcome, StepTimes):
            size = entry.command.micro_batch_size
            times[size] = times.get(size, ()) + entry.outcome.step_times_s
    return tuple(
        Timed(micro_batch_size=size, step_times_s=times[size])
        for size in sorted(times)
        if times[size]
    )


def loaded_per_s(log: Sequence[Measurement]) -> float | None:
    """Return the samples a second that the loader gives as the user has it; None when not timed."""
    for entry in log:
        match entry.command, entry.outcome:
            case TimeLoader(num_workers=None), LoaderTimes(batch_times_s=times) if times:
                return entry.outcome.batch_size / median(times)
    return None


def knee_of(timed: Sequence[Timed]) -> Timed:
    """Return the smallest size that has nearly the most samples a second; one at least is timed."""
    most = max(one.samples_per_s for one in timed)
    return next(one for one in timed if one.samples_per_s >= _KNEE_SHARE * most)


def limits_of(timed: Sequence[Timed], loader_per_s: float | None) -> Mapping[int, str]:
    """Return what limits each size: "loading", "launch" or "compute"."""
    found: dict[int, str] = {}
    for place, one in enumerate(timed):
        other = timed[place + 1] if place + 1 < len(timed) else timed[place - 1]
        doublings = _doublings(one, other)
        if loader_per_s is not None and loader_per_s < one.samples_per_s:
            found[one.micro_batch_size] = "loading"
        elif doublings is not None and doublings < _LAUNCH_GROWTH:
            found[one.micro_batch_size] = "launch"
        else:
            found[one.micro_batch_size] = "compute"
    return found


def _doublings(one: Timed, other: Timed) -> float | None:
    """Return by what factor time grows with a doubling of the size; None of one size alone."""
    low, high = sorted((one, other), key=lambda timed: timed.micro_batch_size)
    ratio = high.micro_batch_size / low.micro_batch_size
    if ratio <= 1:
        return None
    growth = median(high.step_times_s) / median(low.step_times_s)
    doubled: float = growth ** (1 / math.log2(ratio))
    return doubled


def throughput_figure(findings: Findings) -> Figure | None:
    """Return the figure; None where no steps were timed."""
    timed = timed_steps(findings.log)
    if not timed:
        return None
    loader_per_s, knee = loaded_per_s(findings.log), knee_of(timed)
    limits = limits_of(timed, loader_per_s)
    rows: list[Row] = [
        {
            "size": one.micro_batch_size,
            "rate": one.samples_per_s,
            "low": one.interval[0],
            "high": one.interval[1],
        }
        for one in timed
    ]
    advice = findings.recommendation.advice
    sizes = [one.micro_batch_size for one in timed]
    sizes += [] if advice is None else [advice.micro_batch_size]
    x = batch_axis("size", "micro-batch size, samples", sizes)
    y = linear_axis("rate", "samples a second")
    layers = [
        layer(
            rows,
            {"type": "area" if len(rows) > 1 else "rule", "color": BLUE, "opacity": 0.2},
            x=x,
            y={**y, "field": "low"},
            y2={"field": "high"},
        ),
        layer(
            rows,
            {"type": "line", "color": BLUE, "point": {"color": BLUE, "size": 40}},
            x=x,
            y=y,
        ),
        *rule_up(knee.micro_batch_size, f"knee {knee.micro_batch_size:,}"),
    ]
    if advice is not None and advice.micro_batch_size != knee.micro_batch_size:
        size = advice.micro_batch_size
        layers += rule_up(size, f"advised {size:,}", line=1)
    if loader_per_s is not None and loader_per_s < 1.5 * max(row["high"] for row in rows):
        layers += rule_across(loader_per_s, f"the loader gives {format_number(loader_per_s)}")
    return Figure(
        name="throughput",
        title="Samples a second by micro-batch size",
        description=_words(knee, limits, loader_per_s),
        spec=layered(*layers),
        table=_table(timed, limits),
    )


def _words(knee: Timed, limits: Mapping[int, str], loader_per_s: float | None) -> str:
    words = (
        f"{format_number(knee.samples_per_s)} samples a second at {knee.micro_batch_size:,}, the "
        f"knee: no size that was timed has more than {1 / _KNEE_SHARE - 1:.0%} more. "
    )
    for limit, meaning in (
        ("launch", "launching operations takes most of a step"),
        ("compute", "computing does"),
        ("loading", "loading takes longer than computing"),
    ):
        sizes = [size for size, found in limits.items() if found == limit]
        if sizes:
            span = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
            words += f"At {span} {meaning}. "
    if loader_per_s is not None:
        words += f"The data loader alone gives {format_number(loader_per_s)} a second. "
    return words + "The band holds eight in ten of the timed steps."


def _table(timed: Sequence[Timed], limits: Mapping[int, str]) -> Table:
    return Table(
        head=("micro-batch", "samples/s", "slowest tenth", "fastest tenth", "step", "steps timed",
              "limited by"),
        rows=tuple(
            (
                f"{one.micro_batch_size:,}",
                *(format_number(rate) for rate in (one.samples_per_s, *one.interval)),
                format_seconds(median(one.step_times_s)),
                f"{len(one.step_times_s):,}",
                limits[one.micro_batch_size],
            )
            for one in timed
        ),
        numeric=frozenset(range(6)),
    )  # fmt: skip
