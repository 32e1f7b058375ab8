"""What a plan says next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bsadvise.model.advice import Advice, MemoryEstimate, Refusal
from bsadvise.model.commands import Command
from bsadvise.model.device import Device
from bsadvise.model.measurements import Log, Prior
from bsadvise.model.request import AdviceRequest

from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reasons import reason_of


@dataclass(frozen=True, slots=True)
class Commands:
    """What to measure next.

    Attributes:
        commands: Those that may be begun at once, most wanted first. None of them depends on
            another, and each is run on one device. Empty while there is nothing to do but to wait
            for what is running; never empty when nothing is.
    """

    commands: tuple[Command, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why each of them is given, a sentence each."""
        return tuple(map(reason_of, self.commands))


Plan = Commands | Advice | Refusal
"""Measure these; or this is the answer; or there is none."""

EstimateStep = Command | MemoryEstimate | Refusal
"""Measure this; or this is the estimate; or there is none."""


class Planner(Protocol):
    """Turns a log into what comes next. Pure: equal arguments give an equal plan."""

    def read(self, request: AdviceRequest, devices: Sequence[Device], log: Log) -> LogView:
        """Return the view of a log that the other methods take: one serves all of them.

        Args:
            request: What was asked.
            devices: The devices of the lease, at least one.
            log: Every measurement so far, in the order in which they ended.
        """
        ...

    def plan(self, view: LogView, running: Sequence[Command] = (), capacity: int = 1) -> Plan:
        """Return what to measure next, the answer, or why there is none.

        While anything runs there is no answer yet.

        Args:
            view: Of the log.
            running: The commands that are being measured now; none of them is given again.
            capacity: How many more may be begun now, at least 0.
        """
        ...

    def best_so_far(self, view: LogView) -> Advice | None:
        """Return the answer that the log would give now; None while it would give none."""
        ...

    def prior_from(self, view: LogView) -> Prior | None:
        """Return what the log's own measurements teach a further search of the same task.

        What the log has of still earlier answers is left out: it would be counted twice. None
        where there is nothing to learn.
        """
        ...


class EstimatePlanner(Protocol):
    """Turns a log into the next step of a memory estimate. Pure."""

    def next_step(self, request: AdviceRequest, device: Device, log: Log) -> EstimateStep:
        """Return what to measure next, the answer, or why there is none."""
        ...
