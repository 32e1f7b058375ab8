"""Where a recommendation stands, from the events that were seen of it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from bsadvise.model.advice import Advice
from bsadvise.model.commands import RunStep, Stage, TraceMemory, Train, Verify, stage_of
from bsadvise.model.measurements import (
    Measurement,
    MemoryTrace,
    OutOfMemory,
    StepRun,
    TrainRun,
    Verification,
)
from bsadvise.model.recommendation import (
    CommandStarted,
    Event,
    Measured,
    State,
    StateChanged,
    Waiting,
)
from bsadvise.phrases import (
    describe_advice,
    describe_setting,
    describe_task,
    describe_waiting,
)

_STATE_WORDS = {State.QUEUED: "waiting for the device", State.RUNNING: "starting"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse:
    """What the last step of known memory took.

    Attributes:
        micro_batch_size: Samples of a micro-batch.
        peak_bytes: The most that it took; None where it ran out of memory.
        was_run: Whether it was run, not predicted.
    """

    micro_batch_size: int
    peak_bytes: int | None
    was_run: bool


@dataclass(slots=True, kw_only=True)
class TrialCurve:
    """A trial's training so far.

    Attributes:
        number: The trial's number; 0 is the reference recipe.
        setting: What it trains with, in words.
        train_losses: Its training losses over all rungs, by samples seen; finite ones alone.
        sample_count: Samples seen.
        held_out_loss: The last one that was measured, else None.
        has_failed: Whether it diverged, or ended otherwise than with a loss.
    """

    number: int
    setting: str
    train_losses: dict[float, float] = field(default_factory=dict)
    sample_count: int = 0
    held_out_loss: float | None = None
    has_failed: bool = False


@dataclass(slots=True)
class Standing:
    """Where a recommendation stands, after its events so far."""

    state: State = State.QUEUED
    stage: Stage | None = None
    doing: str = _STATE_WORDS[State.QUEUED]
    best: Advice | None = None
    remaining_s: float | None = None
    measurement_count: int = 0
    memory: MemoryUse | None = None
    trials: dict[int, TrialCurve] = field(default_factory=dict)

    def take(self, event: Event | Waiting) -> None:
        """Take the next event in, or a new place in the queue."""
        if isinstance(event, Waiting):
            self.doing = describe_waiting(event, time.time())
            return
        match event.happening:
            case StateChanged(state=state):
                self.state = state
                self.doing = _STATE_WORDS.get(state, str(state))
            case CommandStarted(command=command):
                self.stage, self.doing = stage_of(command), describe_task(command)
            case Measured() as measured:
                self.measurement_count += 1
                self.best = measured.best or self.best
                self.remaining_s = measured.remaining_s
                self.memory = memory_use(measured.measurement) or self.memory
                self.take_training(measured.measurement)

    def leading(self, count: int) -> list[TrialCurve]:
        """Return the trials of lowest held-out loss, then those without, then those that failed."""

        def rank(curve: TrialCurve) -> tuple[bool, float, int]:
            loss = curve.held_out_loss
            return curve.has_failed, math.inf if loss is None else loss, curve.number

        return sorted(self.trials.values(), key=rank)[:count]

    def best_words(self) -> str:
        """Return the answer that would be given now, in words."""
        return describe_advice(self.best) if self.best else "none yet"

    def count_words(self) -> str:
        """Return how much was measured, in words."""
        words = f"{self.measurement_count} measured"
        if self.best is not None and self.best.search.trial_count:
            search = self.best.search
            words += f", trials: {search.trial_count} ({search.pruned_count} stopped early)"
        return words

    def take_training(self, measured: Measurement) -> None:
        """Take what a measurement says of a trial in; nothing where it is of none."""
        command, run = measured.command, measured.outcome
        if not isinstance(command, Train) or command.replicate:
            return
        curve = self.trials.setdefault(
            command.trial_number,
            TrialCurve(number=command.trial_number, setting=describe_setting(command)),
        )
        curve.has_failed = not isinstance(run, TrainRun) or run.diverged
        if isinstance(run, TrainRun):
            each = run.sample_count / max(1, len(run.train_losses))
            curve.train_losses |= {
                curve.sample_count + each * position: loss
                for position, loss in enumerate(run.train_losses, start=1)
                if math.isfinite(loss)
            }
            curve.sample_count += run.sample_count
            curve.held_out_loss = run.held_out_loss


def memory_use(measured: Measurement) -> MemoryUse | None:
    """Return what a measurement says of memory; None where that is nothing."""
    command = measured.command
    if not isinstance(command, TraceMemory | RunStep | Verify):
        return None
    match measured.outcome:
        case MemoryTrace(peak_bytes=live_bytes, reserved_bytes=reserved_bytes, was_run=was_run):
            peak_bytes: int | None = live_bytes if reserved_bytes is None else reserved_bytes
        case StepRun(peak_bytes=peak_bytes) | Verification(peak_bytes=peak_bytes):
            was_run = True
        case OutOfMemory(is_host=False):
            peak_bytes, was_run = None, True
        case _:
            return None
    return MemoryUse(
        micro_batch_size=command.micro_batch_size, peak_bytes=peak_bytes, was_run=was_run
    )
