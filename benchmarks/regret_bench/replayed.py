"""A trainer that returns the losses of a recorded grid and trains nothing."""

from __future__ import annotations

import math
from statistics import fmean

from bsadvise.model.commands import (
    Command,
    CompareOrders,
    Evaluate,
    InspectTask,
    RunStep,
    TraceMemory,
    Train,
    Verify,
)
from bsadvise.model.measurements import (
    Evaluation,
    MemoryParts,
    MemoryTrace,
    OrderComparison,
    Outcome,
    StepRun,
    TrainRun,
    Verification,
)
from bsadvise.model.task import OptimizerProfile, TaskProfile

from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.surface import Surface
from benchmarks.regret_bench.trainer import Trainer

_PEAK_BYTES = 1 << 20
"""Of any batch: memory limits no workload."""

_EVALUATIONS_AT_TARGET = 3


class ReplayedTrainer(Trainer):
    """Executes commands on a recording.

    Losses depend only on setting and time. A recording has no gradients, so the noise scale stays
    unknown. Seed repeats get the curves of the first seed again; those of other seeds are used to
    judge the answers.
    """

    def __init__(self, surface: Surface) -> None:
        """Take the surface to answer from."""
        self._surface = surface
        self._steps: dict[str, int] = {}
        self.execute = self._outcome

    def _outcome(self, command: Command) -> Outcome:
        recording = self._surface.recording
        match command:
            case InspectTask():
                return self._profile()
            case TraceMemory():
                return MemoryTrace(
                    peak_bytes=_PEAK_BYTES, evaluation_peak_bytes=0, parts=MemoryParts()
                )
            case RunStep():
                return StepRun(peak_bytes=_PEAK_BYTES)
            case Evaluate():
                return Evaluation(
                    held_out_loss=recording.initial_loss, evaluation_s=recording.evaluation_s
                )
            case Train():
                return self._train(command)
            case CompareOrders():
                return OrderComparison()
            case Verify(step_count=count):
                return Verification(
                    step_count=count, peak_bytes=_PEAK_BYTES, step_times_s=(), final_loss=0.0
                )
            case _:
                raise LookupError(f"a recording has no outcome for {command}")

    def _profile(self) -> TaskProfile:
        recording = self._surface.recording
        return TaskProfile(
            model_name=recording.workload,
            parameter_count=1,
            trainable_parameter_count=1,
            parameter_bytes=4,
            buffer_bytes=0,
            batch_norm_layer_count=0,
            optimizer=OptimizerProfile(
                optimizer_name=recording.family, family=recording.optimizer_family
            ),
            dataset_size=recording.dataset_size,
            evaluation_size=recording.evaluation_size,
            sample_shapes="()",
            reference_batch_size=recording.reference_batch_size,
            reference_learning_rate=recording.reference_learning_rate,
        )

    def _train(self, command: Train) -> TrainRun:
        begun = self._steps[command.start_checkpoint] if command.start_checkpoint else 0
        losses: list[float] = []
        count = command.step_count
        for step in (*command.evaluation_steps, command.step_count):
            losses.append(self._loss(command, begun + step))
            if math.isinf(losses[-1]) or _has_reached_target(losses, command):
                count = step
                break
        diverged = math.isinf(losses[-1])
        # A worker evaluates at the end of a run, even if it has just done so.
        is_cut = count < command.step_count and not diverged
        if command.save_checkpoint is not None and not diverged:
            self._steps[command.save_checkpoint] = begun + count
        return TrainRun(
            step_count=count,
            sample_count=count * command.effective_batch_size,
            train_losses=(),
            earlier_losses=tuple(losses if is_cut else losses[:-1]),
            held_out_loss=None if diverged else losses[-1],
            diverged=diverged,
        )

    def _loss(self, command: Train, step: int) -> float:
        size = command.effective_batch_size
        time_s = step * self._surface.recording.step_time_s(size)
        return self._surface.loss(Setting(size, command.learning_rate), time_s)


def _has_reached_target(losses: list[float], command: Train) -> bool:
    """Return whether a worker would stop: the mean of the last evaluations is at the target."""
    if command.target_loss is None or len(losses) < _EVALUATIONS_AT_TARGET:
        return False
    return fmean(losses[-_EVALUATIONS_AT_TARGET:]) <= command.target_loss
