"""A device and a task that exist only as formulas, with planted answers.

Memory is the larger of two lines in the batch. A step takes a fixed time and a time a sample.
Training is a noisy quadratic: along each of several directions of curvature h with gradient
noise c, one SGD step of batch B and rate η takes the mean squared error e to
(1 − ηh)²·e + η²c/B, and the loss is ½Σ h·e. It has a best batch and rate, it diverges where
the rate is too large, and nothing in it is random: a replicate starts a little nearer or farther.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bsadvise.model.commands import (
    Command,
    CompareOrders,
    Evaluate,
    InspectTask,
    Lever,
    ObserveScript,
    RangeTest,
    RunScript,
    RunStep,
    TimeLoader,
    TimeSteps,
    TraceMemory,
    Train,
    Verify,
)
from bsadvise.model.horizon import StepSchedule
from bsadvise.model.measurements import (
    Evaluation,
    GradientNorms,
    LoaderTimes,
    Measurement,
    MemoryParts,
    MemoryTrace,
    OrderComparison,
    Outcome,
    OutOfMemory,
    RangeRun,
    StepRun,
    StepTimes,
    TrainRun,
    Verification,
)
from bsadvise.model.observation import Observation, ObservationEnd, Quantity, ScriptRun
from bsadvise.model.task import TaskProfile

from tests.support.builders import a_profile, an_observation

_CURVATURES = tuple(2.0**-k for k in range(8))
_DIVERGED_LOSS = 1e9
_TARGET_EVALUATIONS = 3


@dataclass
class SimulatedDevice:
    """Answers commands by formula.

    Attributes:
        profile: What inspection finds.
        limit_bytes: What really fits.
        fixed_bytes: Memory whatever the batch.
        sample_bytes: Memory a sample.
        optimizer_bytes: Height of the other line, the optimizer step's peak.
        hidden_factor: Real over traced memory: above 1, tracing is too optimistic.
        segment_bytes: Traces tell reserved bytes in steps of so many; 0 for none.
        fixed_time_s: Seconds a step.
        sample_time_s: Seconds a sample.
        gradient_noise: c in each direction.
        load_time_s: Seconds in which one process of the loader loads a sample.
        load_computing_share: Share of them on a processor.
        most_loading: Processes that may load at once; others wait for a lock.
        look_s: Seconds of a look at the held-out loss.
        wall_factor: Real over modelled seconds of training.
        noise_factor: How many times as long it takes where noise is measured.
        wait_share: For how much of a timed step threads wait for a processor.
        power_w: What it draws at a micro-batch size; None where it does not say.
        order_effect: Between-batch variance of the gradient in the stored order, over that in a
            shuffled one.
        observation: What observing a script finds.
        checkpoints: Mean squared errors under each checkpoint's name.
        commands: What was asked, in order.
    """

    profile: TaskProfile = field(default_factory=a_profile)
    limit_bytes: int = 1 << 30
    fixed_bytes: int = 50 << 20
    sample_bytes: int = 1 << 20
    optimizer_bytes: int = 80 << 20
    hidden_factor: float = 1.0
    segment_bytes: int = 0
    fixed_time_s: float = 2e-3
    sample_time_s: float = 2e-5
    gradient_noise: float = 4.0
    load_time_s: float = 1e-7
    load_computing_share: float = 1.0
    most_loading: int = 1 << 20
    look_s: float = 0.01
    wall_factor: float = 1.2
    noise_factor: float = 1.0
    wait_share: float = 0.0
    power_w: Callable[[int], float] | None = None
    order_effect: float = 1.0
    observation: Observation = field(default_factory=an_observation)
    checkpoints: dict[str, tuple[float, ...]] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)

    def measure(self, command: Command) -> Measurement:
        """Carry out a command and say how long it would have taken."""
        self.commands.append(command)
        outcome = self._outcome(command)
        return Measurement(
            command=command,
            outcome=outcome,
            wall_s=self._wall_s(command, outcome),
            mean_power_w=self._mean_power_w(command),
        )

    def peak_bytes(self, size: int) -> int:
        """Return the traced peak at a micro-batch size."""
        return max(self.fixed_bytes + size * self.sample_bytes, self.optimizer_bytes)

    def true_largest(self) -> int:
        """Return the largest micro-batch that really fits."""
        room = self.limit_bytes / self.hidden_factor - self.fixed_bytes
        return int(room // self.sample_bytes)

    def step_time_s(self, size: int) -> float:
        """Return the seconds of one step."""
        return self.fixed_time_s + size * self.sample_time_s

    def loss(self, errors: tuple[float, ...]) -> float:
        """Return the loss at given mean squared errors."""
        return sum(h * e for h, e in zip(_CURVATURES, errors, strict=True)) / 2

    def train(
        self,
        errors: tuple[float, ...],
        *,
        batch_size: int,
        learning_rate: float,
        steps: int,
        schedule: StepSchedule | None = None,
        begun: int = 0,
    ) -> tuple[float, ...]:
        """Return the mean squared errors after some steps, of which ``begun`` came before."""
        for step in range(begun, begun + steps):
            rate = learning_rate * (1.0 if schedule is None else schedule.multiplier(step))
            errors = tuple(
                (1 - rate * h) ** 2 * e + rate**2 * self.gradient_noise * h / batch_size
                for h, e in zip(_CURVATURES, errors, strict=True)
            )
            if errors[0] > 1e12:
                break
        return errors

    def time_to_loss_s(
        self, batch_size: int, learning_rate: float, target: float, *, most_s: float = 1e3
    ) -> float:
        """Return the modelled seconds to a loss; infinite when it is not reached."""
        errors, steps = fresh_errors(), 0
        step_time_s = self.step_time_s(batch_size)
        while steps * step_time_s < most_s:
            if self.loss(errors) <= target:
                return steps * step_time_s
            errors = self.train(errors, batch_size=batch_size, learning_rate=learning_rate, steps=1)
            steps += 1
            if errors[0] > 1e12:
                break
        return float("inf")

    def loss_after_s(self, batch_size: int, learning_rate: float, duration_s: float) -> float:
        """Return the loss after some modelled seconds of training."""
        steps = int(duration_s / self.step_time_s(batch_size))
        errors = self.train(
            fresh_errors(), batch_size=batch_size, learning_rate=learning_rate, steps=steps
        )
        return self.loss(errors)

    def _outcome(self, command: Command) -> Outcome:
        match command:
            case InspectTask():
                return self.profile
            case ObserveScript() | RunScript():
                return self._run_script(command)
            case TraceMemory():
                return self._trace(command)
            case RunStep(micro_batch_size=b):
                return self._too_large(b) or StepRun(peak_bytes=self._real_bytes(b))
            case TimeSteps(micro_batch_size=b):
                times_s = tuple(self.step_time_s(b) * f for f in (1.0, 1.02, 0.99, 1.01, 1.0))
                return self._too_large(b) or StepTimes(
                    step_times_s=times_s,
                    optimizer_times_s=(self.fixed_time_s / 4,) * 5,
                    processor_wait_s=self.wait_share * sum(times_s),
                )
            case TimeLoader():
                return self._load(command)
            case Train() | RangeTest() | CompareOrders():
                return self._learn(command)
            case Evaluate():
                return Evaluation(held_out_loss=self.loss(fresh_errors()), evaluation_s=self.look_s)
            case Verify(micro_batch_size=b, accumulation_steps=a, step_count=steps):
                return self._too_large(b) or Verification(
                    step_count=steps,
                    peak_bytes=self._real_bytes(b),
                    step_times_s=(a * self.step_time_s(b),) * (steps - 1),
                    final_loss=1.0,
                )

    def _run_script(self, command: ObserveScript | RunScript) -> Outcome:
        if isinstance(command, ObserveScript):
            return self.observation
        reference = self.observation.reference
        assert reference is not None
        said = {value.place.quantity: value.after for value in command.values}
        accumulated = said.get(Quantity.ACCUMULATION_STEPS, reference.accumulation_steps)
        size = int(said.get(Quantity.MICRO_BATCH_SIZE, reference.micro_batch_size))
        if Quantity.BATCH_SIZE in said:
            size = int(said[Quantity.BATCH_SIZE] // accumulated)
        step_time_s = accumulated * (self.step_time_s(size) + self.load_time_s * size)
        steps = min(command.step_count, 3 + math.ceil(command.measure_s / step_time_s))
        return self._too_large(size) or ScriptRun(
            end=ObservationEnd.ENOUGH_STEPS,
            step_count=steps,
            step_times_s=(step_time_s,) * (steps - 3),
            peak_bytes=self._real_bytes(size),
            setting=replace(
                reference,
                micro_batch_size=size,
                batch_size=size * int(accumulated),
                accumulation_steps=int(accumulated),
                learning_rate=said.get(Quantity.LEARNING_RATE, reference.learning_rate),
            ),
        )

    def _load(self, command: TimeLoader) -> LoaderTimes:
        workers = command.num_workers or max(1, self.profile.num_workers)
        alone_s = self.load_time_s * command.batch_size
        computing_s = self.load_computing_share * alone_s
        processors = self.profile.cpu_count or math.inf
        batch_s = max(alone_s / workers, computing_s / processors, alone_s / self.most_loading)
        return LoaderTimes(
            batch_size=command.batch_size,
            batch_times_s=(batch_s,) * 3,
            processor_time_per_batch_s=computing_s,
            processor_wait_per_batch_s=workers * batch_s - alone_s
            if batch_s == computing_s / processors
            else 0.0,
        )

    def _learn(self, command: Train | RangeTest | CompareOrders) -> Outcome:
        match command:
            case Train():
                return self._too_large(command.micro_batch_size) or self._train(command)
            case RangeTest():
                return self._too_large(command.micro_batch_size) or self._test_range(command)
            case CompareOrders():
                return self._too_large(command.batch_size) or self._compare_orders(command)

    def _trace(self, command: TraceMemory) -> MemoryTrace:
        b = command.micro_batch_size
        peak_bytes = self.peak_bytes(b)
        if command.is_typical or command.lever is Lever.BF16:
            peak_bytes -= b * self.sample_bytes // 2
        elif command.lever is Lever.SGD:
            peak_bytes -= self.fixed_bytes // 4
        return MemoryTrace(
            peak_bytes=peak_bytes,
            evaluation_peak_bytes=peak_bytes // 2,
            parts=MemoryParts(activation_bytes=b * self.sample_bytes),
            # In steps, as an allocator takes its segments.
            reserved_bytes=-(-peak_bytes // self.segment_bytes) * self.segment_bytes
            if self.segment_bytes
            else None,
        )

    def _train(self, command: Train) -> TrainRun:
        errors, looks, steps = self._take_steps(command)
        loss = self.loss(errors)
        diverged = loss > _DIVERGED_LOSS
        if command.save_checkpoint is not None and not diverged:
            self.checkpoints[command.save_checkpoint] = errors
        return TrainRun(
            step_count=steps,
            sample_count=steps * command.effective_batch_size,
            train_losses=(),
            earlier_losses=tuple(loss for loss in looks if loss <= _DIVERGED_LOSS),
            held_out_loss=None if diverged else loss,
            diverged=diverged,
            gradient_norms=self._norms(command, errors) if command.measure_noise else None,
        )

    def _take_steps(self, command: Train) -> tuple[tuple[float, ...], list[float], int]:
        """Return the errors at the end, the losses on the way there, and the steps taken."""
        start = command.start_checkpoint
        errors = fresh_errors(command.replicate) if start is None else self.checkpoints[start]
        steps, taken = self._steps_in_time(command), 0
        looks: list[float] = []
        for mark in (*(m for m in command.evaluation_steps if m < steps), steps):
            errors = self.train(
                errors,
                batch_size=command.effective_batch_size,
                learning_rate=command.learning_rate,
                steps=mark - taken,
                schedule=command.schedule,
                begun=taken,
            )
            taken = mark
            if mark in command.evaluation_steps:
                looks.append(self.loss(errors))
            if _has_arrived(looks, command.target_loss):
                break
        return errors, looks, taken

    def _compare_orders(self, command: CompareOrders) -> OrderComparison:
        squared = sum(h * h * e for h, e in zip(_CURVATURES, fresh_errors(), strict=True))
        variance = self.gradient_noise * sum(_CURVATURES) / command.batch_size

        def norms(*variances: float) -> GradientNorms:
            big = tuple(squared + one / command.batch_count for one in variances)
            return GradientNorms(
                small_batch_size=command.batch_size,
                big_batch_size=command.batch_size * command.batch_count,
                small_squared_norms=tuple(squared + one for one in variances),
                big_squared_norms=big,
            )

        return OrderComparison(
            stored=norms(self.order_effect * variance),
            shuffled=norms(*[variance] * command.shuffle_count),
        )

    def _test_range(self, command: RangeTest) -> RangeRun:
        errors, rates, losses = fresh_errors(), [], []
        batch_size = command.micro_batch_size * command.accumulation_steps
        for index in range(self._steps_in_time(command)):
            rates.append(command.smallest_learning_rate * command.factor**index)
            losses.append(self.loss(errors))
            if losses[-1] > 10 * losses[0]:
                break
            errors = self.train(errors, batch_size=batch_size, learning_rate=rates[-1], steps=1)
        return RangeRun(
            learning_rates=tuple(rates),
            train_losses=tuple(losses),
            diverged=losses[-1] > 10 * losses[0],
        )

    def _steps_in_time(self, command: Train | RangeTest) -> int:
        if command.stop_after_s is None:
            return command.step_count
        step_s = self._train_step_s(command)
        return min(command.step_count, int(command.stop_after_s / step_s) + 1)

    def _train_step_s(self, command: Train | RangeTest) -> float:
        batch_size = command.micro_batch_size * command.accumulation_steps
        measures_noise = isinstance(command, Train) and command.measure_noise
        factor = self.wall_factor * (self.noise_factor if measures_noise else 1.0)
        return factor * self.step_time_s(batch_size)

    def _norms(self, command: Train, errors: tuple[float, ...]) -> GradientNorms:
        squared = sum(h * h * e for h, e in zip(_CURVATURES, errors, strict=True))
        trace = self.gradient_noise * sum(_CURVATURES)
        small, big = command.micro_batch_size, command.effective_batch_size
        wobble = (0.95, 1.05, 1.0, 0.98, 1.02, 1.0)
        return GradientNorms(
            small_batch_size=small,
            big_batch_size=big,
            small_squared_norms=tuple(w * (squared + trace / small) for w in wobble),
            big_squared_norms=tuple(w * (squared + trace / big) for w in wobble),
            raw_norms=tuple((w * (squared + trace / big)) ** 0.5 for w in (*wobble, *wobble)),
        )

    def _real_bytes(self, size: int) -> int:
        return int(self.peak_bytes(size) * self.hidden_factor)

    def _too_large(self, size: int) -> OutOfMemory | None:
        if self._real_bytes(size) <= self.limit_bytes:
            return None
        return OutOfMemory(message="CUDA out of memory. (simulated)")

    def _mean_power_w(self, command: Command) -> float | None:
        if self.power_w is None or not isinstance(command, TimeSteps):
            return self.power_w and self.power_w(1)
        return self.power_w(command.micro_batch_size)

    def _wall_s(self, command: Command, outcome: Outcome) -> float:
        match command:
            case InspectTask() | ObserveScript():
                return 0.8
            case TraceMemory() | Evaluate() | CompareOrders():
                return 0.2
            case TimeSteps() | TimeLoader():
                return 0.5
            case Train() if isinstance(outcome, TrainRun):
                looks_s = self.look_s * (len(outcome.earlier_losses) + 1)
                return 0.05 + outcome.step_count * self._train_step_s(command) + looks_s
            case Train() | RangeTest():
                return 0.05 + self._steps_in_time(command) * self._train_step_s(command)
            case RunStep() | Verify() | RunScript():
                return 1.0


def fresh_errors(replicate: int = 0) -> tuple[float, ...]:
    """Return the mean squared errors of untrained weights."""
    return (4.0 * 1.2 ** math.sin(2 * replicate),) * len(_CURVATURES)


def _has_arrived(losses: Sequence[float], target_loss: float | None) -> bool:
    """Return whether the mean of the last looks is at the target."""
    if target_loss is None or len(losses) < _TARGET_EVALUATIONS:
        return False
    return math.fsum(losses[-_TARGET_EVALUATIONS:]) / _TARGET_EVALUATIONS <= target_loss
