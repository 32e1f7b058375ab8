"""What a plan says next."""

from __future__ import annotations

from typing import Protocol

from bsadvise.model.advice import Advice, MemoryEstimate, Refusal
from bsadvise.model.commands import Command
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log
from bsadvise.model.request import AdviceRequest

Step = Command | Advice | Refusal
"""Measure this; or this is the answer; or there is none."""

EstimateStep = Command | MemoryEstimate | Refusal
"""The same for memory alone."""


class Planner(Protocol):
    """Turns a log into the next step. Pure: equal arguments give an equal step."""

    def next_step(self, request: AdviceRequest, device: Device, log: Log) -> Step:
        """Return what to measure next, the answer, or why there is none."""
        ...

    def best_so_far(self, request: AdviceRequest, device: Device, log: Log) -> Advice | None:
        """Return the answer that the log would give now; None while it would give none."""
        ...

    def remaining_s(self, request: AdviceRequest, log: Log) -> float:
        """Return the seconds of the request's budget that are left, at least 0."""
        ...


class EstimatePlanner(Protocol):
    """Turns a log into the next step of a memory estimate. Pure."""

    def next_step(self, request: AdviceRequest, device: Device, log: Log) -> EstimateStep:
        """Return what to measure next, the answer, or why there is none."""
        ...
