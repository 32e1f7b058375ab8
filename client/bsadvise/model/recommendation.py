"""A recommendation as a resource: its states and the events of its life."""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.commands import Command
from bsadvise.model.device import Device
from bsadvise.model.measurements import Measurement
from bsadvise.model.request import AdviceRequest
from bsadvise.model.values import OpenEnum, Tagged, Unknown, Value


class State(OpenEnum):
    """Where a recommendation stands.

    QUEUED -> RUNNING when a daemon leases its device.
    QUEUED -> CANCELLED on cancel.
    RUNNING -> SUCCEEDED with advice; FAILED with a refusal; CANCELLED, with the best so far
        where there is one.
    RUNNING -> QUEUED when its daemon drains or died; the log stays, and it goes on from there.
    SUCCEEDED, FAILED and CANCELLED are final.
    """

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self in _FINAL


_FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

LOCAL = "local"
"""The principal of callers through the daemon's own unix socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Value):
    """Where a queued recommendation stands, as far as can be told now.

    Attributes:
        position: 1 for the next that its device is given to.
        expected_start_at_s: Unix time, if all that comes before takes its whole budget.
    """

    position: int
    expected_start_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation(Value):
    """One recommendation, as stored.

    Attributes:
        recommendation_id: Server-made id.
        request_id: Client-made id; creating twice with it creates once.
        request: What was asked.
        device: The device, as it was when the recommendation was created.
        fingerprint: Key under which the answer is remembered.
        state: Where it stands.
        created_at_s: Unix time.
        updated_at_s: Unix time of the last change of state.
        cancel_requested: Whether its client has asked for it to stop.
        advice: The answer; on a cancelled one the best so far, where there is any.
        refusal: Why there is none.
        principal: Whom it is for.
        waiting: Where it stands while it is QUEUED; told when it is read alone, never stored.
        planner_version: Release that gave the advice or the refusal, else that took the request
            in; empty where the daemon does not say.
    """

    recommendation_id: str
    request_id: str
    request: AdviceRequest
    device: Device
    fingerprint: str
    state: State
    created_at_s: float
    updated_at_s: float
    cancel_requested: bool = False
    advice: Advice | None = None
    refusal: Refusal | None = None
    principal: str = LOCAL
    waiting: Waiting | None = None
    planner_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(Tagged):
    """The recommendation moved to another state; final ones carry how it ended."""

    state: State
    advice: Advice | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStarted(Tagged):
    """A worker was asked to measure something."""

    command: Command | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured(Tagged):
    """A measurement was added to the log.

    Attributes:
        measurement: What was measured.
        best: The answer that would be given now; None while there is none.
        remaining_s: Seconds of the budget that are left.
    """

    measurement: Measurement
    best: Advice | None = None
    remaining_s: float = 0.0


Happening = StateChanged | CommandStarted | Measured | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Value):
    """One thing that happened to a recommendation.

    Attributes:
        sequence: 1, 2, 3, … within the recommendation, with no gap.
        at_s: Unix time.
        happening: What happened.
    """

    sequence: int
    at_s: float
    happening: Happening
