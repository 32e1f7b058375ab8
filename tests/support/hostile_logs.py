"""Logs that no honest worker would give, and that pass every check, by number."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from bsadvise.model.advice import Advice, MemoryEstimate, Refusal
from bsadvise.model.commands import (
    Command,
    CompareOrders,
    Evaluate,
    InspectTask,
    ObserveScript,
    RangeTest,
    RecallAnswers,
    RunScript,
    RunStep,
    TimeLoader,
    TimeSteps,
    TraceMemory,
    Train,
    Verify,
)
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.horizon import (
    LearningRateSchedule,
    LengthUnit,
    ScheduleShape,
    TrainingLength,
)
from bsadvise.model.measurements import (
    Evaluation,
    Failed,
    Fault,
    FaultCode,
    GradientNorms,
    LoaderTimes,
    Log,
    LogEstimate,
    Measurement,
    MemoryParts,
    MemoryTrace,
    OrderComparison,
    Outcome,
    OutOfMemory,
    Prior,
    RangeRun,
    StepRun,
    StepTimes,
    TimedOut,
    TrainRun,
    Verification,
)
from bsadvise.model.observation import (
    BatchSource,
    Observation,
    ObservationEnd,
    Place,
    PlaceKind,
    Quantity,
    Reference,
    ScriptRun,
    TrainingLoop,
)
from bsadvise.model.request import AdviceRequest, EntryKind, Objective, Source
from bsadvise.model.task import OptimizerFamily, OptimizerProfile, TaskProfile
from bsadvise.v1 import explanation_pb2, recommendation_pb2
from bsadvise.wire.messages import to_message
from bsadvise.wire.plain import to_plain

from advisor.messages import from_message
from advisor.pipe.unions import command_message, command_of, outcome_message, outcome_of
from advisor.planning.answer.explanation import explain
from advisor.planning.evidence.step import Commands, Plan
from advisor.planning.memory_planner import MemoryPlanner
from advisor.planning.planner import RecommendationPlanner
from advisor.pools.outcome_validation import is_possible
from advisor.search.optuna_proposer import OptunaProposer
from advisor.serialization import from_dict
from tests.support.simulated_device import SimulatedDevice

T = TypeVar("T")

MOST_STEPS = 150
"""Of one search; what goes on for longer is left there."""

_CPU = Device(
    device_id="cpu", name="a CPU", kind=DeviceKind.CPU, present=True,
    total_bytes=1 << 34, free_bytes=1 << 33,
)  # fmt: skip
_GPU = Device(
    device_id="GPU-1", name="NVIDIA A100-SXM4-80GB", kind=DeviceKind.CUDA, present=True,
    total_bytes=80 << 30, free_bytes=79 << 30,
)  # fmt: skip
_ABSENT = Device(
    device_id="a100-80gb", name="NVIDIA A100-SXM4-80GB", kind=DeviceKind.CUDA, present=False,
    total_bytes=80 << 30,
)  # fmt: skip

_TINY = 5e-324
_FLOATS = (0.0, _TINY, 1e-300, 1e-9, 1e-3, 1.0, 10.0, 1e6, 1e7, 1e9, 1e39, 1e50)
_INTEGERS = (0, 1, 2, 3, 7, 100, 4096, 1 << 20, (1 << 31) - 1, 1 << 36, 1 << 50, 1 << 60)
_COUNTS = (0, 1, 2, 3, 7, 64)
_NO_FIGURES_SHARE = 0.03
_IMPOSSIBLE = Failed(fault=Fault(code=FaultCode.MEASUREMENT, message="It cannot be."))
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A planner that raised, or what it said that cannot be.

    Attributes:
        number: Of the log.
        error: What was raised.
    """

    number: int
    error: BaseException


class Liar:
    """Answers commands with figures at the edges of what passes the checks.

    Args:
        random_state: What chooses.
    """

    def __init__(self, random_state: random.Random) -> None:
        self._random = random_state
        # Some lie about everything, others now and then: their searches go further.
        self._wildness = random_state.choice((1.0, 0.5, 0.2, 0.05, 0.02))

    def pick(self, *choices: Any) -> Any:
        """Return one of the choices."""
        return self._random.choice(choices)

    def figure(self, honest: float) -> float:
        """Return a float of at least 0, often the honest one."""
        if self._random.random() > self._wildness:
            return honest * self._random.uniform(0.5, 2.0)
        return self._random.choice(_FLOATS)

    def count(self, honest: int) -> int:
        """Return an integer of at least 0, often the honest one."""
        return honest if self._random.random() > self._wildness else self.pick(*_INTEGERS)

    def loss(self) -> float:
        """Return a finite loss."""
        return self.figure(2.3) * self._random.choice((1, 1, 1, -1))

    def figures_of(self, count: int, honest: float) -> tuple[float, ...]:
        """Return so many figures: all alike, or each another."""
        if self.pick(True, False):
            return (self.figure(honest),) * count
        return tuple(self.figure(honest) for _ in range(count))

    def maybe(self, value: Any) -> Any:
        """Return the value, or None."""
        return self.pick(value, value, None)

    def answer(self, command: Command) -> Outcome:
        """Return an outcome that may not pass the checks."""
        is_begun = not isinstance(command, InspectTask)
        if is_begun and self._random.random() < _NO_FIGURES_SHARE:
            return self._no_figures(command)
        return _ANSWERS[type(command)](self, command)

    def _step_run(self, command: RunStep) -> StepRun:
        return StepRun(peak_bytes=self.count(command.micro_batch_size << 16))

    def _step_times(self, _: TimeSteps) -> StepTimes:
        count = self.pick(1, 2, 3, 5, 300)
        return StepTimes(
            step_times_s=self.figures_of(count, 1e-3),
            optimizer_times_s=self.figures_of(count, 1e-4),
            processor_wait_s=self.maybe(self.figure(0.0)),
        )

    def _loader_times(self, command: TimeLoader) -> LoaderTimes:
        return LoaderTimes(
            batch_size=self.count(command.batch_size),
            batch_times_s=self.figures_of(self.pick(1, 2, 3, 30), self.pick(1e-3, 1.0)),
            processor_time_per_batch_s=self.maybe(self.figure(1e-4)),
            processor_wait_per_batch_s=self.maybe(self.figure(1e-4)),
            is_stream_repeated=command.num_workers is not None and self.pick(False, True),
        )

    def _evaluation(self, _: Evaluate) -> Evaluation:
        return Evaluation(
            held_out_loss=self.maybe(self.loss()), evaluation_s=self.maybe(self.figure(0.1))
        )

    def _verification(self, command: Verify) -> Verification:
        return Verification(
            step_count=command.step_count,
            peak_bytes=self.count(1 << 20),
            step_times_s=self.figures_of(min(command.step_count, self.pick(*_COUNTS)), 1e-3),
            final_loss=self.maybe(self.loss()),
        )

    def _orders(self, command: CompareOrders) -> OrderComparison:
        return OrderComparison(
            stored=self.maybe(self._norms_of_orders(command, 1)),
            shuffled=self.maybe(self._norms_of_orders(command, command.shuffle_count)),
        )

    def _no_figures(self, command: Command) -> Outcome:
        fault = Fault(code=self.pick(*FaultCode), message="it raised")
        outcomes: tuple[Outcome, ...] = (
            OutOfMemory(message="no more", is_host=self.pick(True, False)),
            Failed(fault=fault),
            TimedOut(limit_s=command.time_limit_s),
        )
        return self._random.choice(outcomes)

    def _profile(self, _: InspectTask) -> TaskProfile:
        signed = (None, None, 0.0, -1.0, 0.1, 0.9, 0.999999, 1.0, 2.0, _TINY, 1e-12, 1e6, -1e6)
        return TaskProfile(
            model_name="M",
            parameter_count=self.pick(0, 1, 85_002, 85_002, 1 << 50),
            trainable_parameter_count=self.pick(0, 1, 85_002, 85_002, 1 << 50),
            parameter_bytes=self.pick(0, 1, 340_008, 340_008, 1 << 60),
            buffer_bytes=self.pick(0, 0, 0, 1 << 60),
            batch_norm_layer_count=self.pick(0, 0, 1, 1 << 50),
            optimizer=OptimizerProfile(
                optimizer_name="SGD",
                family=self.pick(*OptimizerFamily),
                default_learning_rate=self.pick(None, 1e-3, 0.1, 1e-12, 1e6),
                weight_decay=self.pick(*signed),
                momentum=self.pick(*signed),
                betas=self.pick(
                    (), (0.9, 0.999), (1.0, 1.0), (0.9,), (2.0, -1.0), (0.0, 0.0), (_TINY,) * 8
                ),
                epsilon=self.pick(*signed),
            ),
            dataset_size=self.pick(None, 1, 2, 96, 1437, 50_000, 1 << 36),
            evaluation_size=self.pick(0, 1, 10, 10_000, 1 << 40),
            is_synthetic=self.pick(False, False, False, True),
            longest_sample=self.pick(None, 0, 5, 1 << 50),
            precision=self.pick("fp32", "bf16", "fp16", "", "nonsense"),
            num_workers=self.pick(0, 0, 0, 1, 4096),
            reference_batch_size=self.pick(None, 1, 2, 32, 10**6, (1 << 31) - 1),
            reference_learning_rate=self.pick(None, None, 1e-3, 0.1, 1e-12, 1e6),
            device_free_bytes=self.pick(None, 1 << 33, 1 << 33, 0, 1 << 60),
            repeated_block_count=self.pick(0, 0, 12, 1 << 50),
            cpu_count=self.pick(None, 1, 2, 1 << 20),
        )

    def _trace(self, command: TraceMemory) -> MemoryTrace:
        size = command.micro_batch_size
        return MemoryTrace(
            peak_bytes=self.count((1 << 20) + (size << 16)),
            evaluation_peak_bytes=self.count(1 << 20),
            parts=MemoryParts(activation_bytes=self.count(size << 16)),
            was_run=self.pick(False, False, True),
            reserved_bytes=self.maybe(self.count((1 << 21) + (size << 16))),
        )

    def _training(self, command: Train) -> TrainRun:
        taken = self.pick(
            0, 1, command.step_count, command.step_count, max(1, command.step_count // 2)
        )
        return TrainRun(
            step_count=max(1, taken),
            sample_count=self.count(taken * command.effective_batch_size),
            train_losses=tuple(
                self.pick(self.loss(), self.loss(), 2.3) for _ in range(self.pick(*_COUNTS))
            ),
            earlier_losses=tuple(
                self.loss() for _ in range(self.pick(0, 1, len(command.evaluation_steps), 7))
            ),
            held_out_loss=self.maybe(self.loss()),
            diverged=self.pick(False, False, False, True),
            gradient_norms=self._norms(command, taken) if self.pick(True, True, False) else None,
        )

    def _norms(self, command: Train, taken: int) -> GradientNorms:
        count = min(taken, self.pick(0, 1, 5, 300))
        small = command.micro_batch_size
        return GradientNorms(
            small_batch_size=small,
            big_batch_size=small * command.accumulation_steps,
            small_squared_norms=self.figures_of(count, 2.0),
            big_squared_norms=self.figures_of(count, 1.0),
            raw_norms=self.figures_of(self.pick(0, count), 1.0),
        )

    def _range(self, command: RangeTest) -> RangeRun:
        count = min(command.step_count, self.pick(0, 1, 2, 20, 100))
        rates = [command.smallest_learning_rate * command.factor**i for i in range(count)]
        if self._random.random() < self._wildness:
            rates = [command.smallest_learning_rate * (1 + 1e-15 * i) for i in range(count)]
        return RangeRun(
            learning_rates=tuple(rates),
            train_losses=tuple(self.loss() for _ in range(count)),
            diverged=self.pick(True, False),
        )

    def _setting(self) -> Reference:
        accumulation_steps = self.pick(1, 3)
        micro_batch_size = self.pick(1, 7, 128, 1 << 20)
        return Reference(
            loop=self.pick(*TrainingLoop),
            batch_size=micro_batch_size * accumulation_steps,
            micro_batch_size=micro_batch_size,
            accumulation_steps=accumulation_steps,
            optimizer_name=self.pick("SGD", ""),
            learning_rate=self.pick(None, 1e-12, 0.1, 1e6),
            dataset_size=self.pick(None, 1, 60_000),
            optimizer_count=self.pick(1, 2),
            where=tuple(
                Place(quantity=quantity, kind=PlaceKind.FLAG, name="--x")
                for quantity in self.pick((), tuple(Quantity))
            ),
        )

    def _script_run(self, command: RunScript) -> ScriptRun:
        step_count = self.pick(1, 2, command.step_count)
        return ScriptRun(
            end=self.pick(*ObservationEnd),
            step_count=step_count,
            step_times_s=self.figures_of(min(step_count, self.pick(*_COUNTS)), 1e-3),
            peak_bytes=self.maybe(self.count(1 << 20)),
            setting=self.maybe(self._setting()),
        )

    def _observation(self, command: ObserveScript) -> Observation:
        reference = self._setting()
        return Observation(
            end=self.pick(*ObservationEnd),
            step_count=self.pick(1, command.step_count),
            batch_source=self.pick(None, *BatchSource),
            row_count=self.pick(None, 2_708),
            has_closure=self.pick(True, False, False, False),
            reference=self.pick(None, reference, reference),
            start_s=self.maybe(self.figure(1.0)),
        )

    def _norms_of_orders(self, command: CompareOrders, count: int) -> GradientNorms:
        return GradientNorms(
            small_batch_size=command.batch_size,
            big_batch_size=command.batch_size * self.pick(3, command.batch_count),
            small_squared_norms=self.figures_of(count, 2.0),
            big_squared_norms=self.figures_of(count, 1.0),
        )


_ANSWERS: Mapping[type, Callable[[Liar, Any], Outcome]] = {
    ObserveScript: Liar._observation,
    RunScript: Liar._script_run,
    InspectTask: Liar._profile,
    TraceMemory: Liar._trace,
    RunStep: Liar._step_run,
    TimeSteps: Liar._step_times,
    TimeLoader: Liar._loader_times,
    Train: Liar._training,
    Evaluate: Liar._evaluation,
    Verify: Liar._verification,
    RangeTest: Liar._range,
    CompareOrders: Liar._orders,
}


def checked_outcome(command: Command, outcome: Outcome) -> Outcome:
    """Return the outcome, or what becomes of one that does not pass the daemon's checks."""
    if isinstance(outcome, TimedOut):  # The daemon's own word.
        return outcome
    try:
        read = outcome_of(outcome_message(1, outcome))
    except ValueError:
        read = None
    if read is None or not is_possible(command, read):
        return _IMPOSSIBLE
    return read


def hostile_request(random_state: random.Random) -> AdviceRequest:
    """Return a request at the edges of what passes the checks."""
    pick = random_state.choice
    while True:
        kind = pick([EntryKind.MODEL_FILE, EntryKind.MODEL_FILE, EntryKind.SCRIPT])
        request = AdviceRequest(
            source=Source(digest="0" * 64, entry_path="m.py", entry_kind=kind),
            observe_only=kind is EntryKind.SCRIPT and random_state.random() < 0.2,
            objective=pick(list(Objective)),
            device_hour_price=pick([0.0, 2.0, 1e9]),
            budget_s=pick([1e-9, 0.1, 5.0, 60.0, 60.0, 3600.0, 3e7]),
            memory_limit_bytes=pick([None, None, 1, 1 << 30, 1 << 60]),
            margin_bytes=pick([None, None, 0, 1 << 20]),
            world_size=pick([1, 1, 1, 2, 8, 1 << 17]),
            effective_batch_size=pick([None, None, None, 1, 64, 96, 1 << 17, (1 << 31) - 1]),
            target_loss=pick([None, None, 0.0, 1e39, -1.0, 2.0]),
            max_trials=pick([None, None, 0, 1, 3, (1 << 31) - 1]),
            seed=pick([0, (1 << 32) - 1]),
        )
        if random_state.getstate()[1][0] % 4 == 0:
            request = _of_a_stated_length(request, random.Random(random_state.getstate()[1][0]))
        try:
            return from_message(
                to_message(request, recommendation_pb2.AdviceRequest()), AdviceRequest
            )
        except ValueError:
            continue


def _of_a_stated_length(request: AdviceRequest, random_state: random.Random) -> AdviceRequest:
    """Return a request for a training of some length, drawn apart: others stay as they are."""
    pick = random_state.choice
    return replace(
        request,
        train_for=TrainingLength(
            amount=pick([1e-9, 1.0, 90.0, 1e4, 1e6, 1e15]), unit=pick(list(LengthUnit))
        ),
        schedule=pick(
            [
                None,
                LearningRateSchedule(shape=ScheduleShape.LINEAR),
                LearningRateSchedule(
                    shape=ScheduleShape.WSD, decay_share=1e-9, warmup_share=0.9999
                ),
                LearningRateSchedule(shape=ScheduleShape.COSINE, warmup_steps=10**9),
            ]
        ),
        budget_share=pick([None, None, 0.05, 1.0, 1e-6]),
    )


def hostile_command(random_state: random.Random) -> AdviceRequest:
    """Return a request about a command at the edges of what passes the checks."""
    arguments = random_state.choice(
        [
            ("{batch}",),
            ("{batch=64}", "{lr=0.1}"),
            ("{batch=1}", "{lr}", "{accumulation}"),
            ("{batch=7}", "{lr=1e-12}", "{accumulation=3}"),
            (f"{{batch={(1 << 31) - 1}}}", "{lr=1e6}"),
        ]
    )
    source = Source(
        digest="0" * 64, entry_path="m.py", entry_kind=EntryKind.COMMAND, arguments=arguments
    )
    return replace(
        hostile_request(random_state),
        source=source,
        observe_only=False,
        objective=Objective.TIME,
        target_loss=None,
        world_size=1,
    )


def recalled(number: int) -> Log:
    """Return what a log begins with: half of them with what earlier answers found."""
    random_state = random.Random(f"prior {number}")
    pick = random_state.choice
    answer_count = pick((None, None, None, 0, 1, 1 << 50))
    if answer_count is None:
        return ()

    def estimate_of() -> LogEstimate | None:
        if not answer_count:
            return None
        return LogEstimate(
            median=pick((1e-30, 1e-9, 1.0, 1.0, 64.0, 64.0, 1e6, 1e30)),
            log_deviation=pick((1e-3, 1e-3, 1.0, 1.0, 1e3)),
        )

    prior = Prior(
        answer_count=answer_count,
        critical_batch_size=estimate_of(),
        largest_rate=estimate_of(),
    )
    command = RecallAnswers(most_answers=pick((1, 8)))
    return (Measurement(command=command, outcome=from_dict(to_plain(prior), Prior), wall_s=0.0),)


class SlowCall(Exception):
    """A call of a planner took longer than it may."""


def search(
    number: int,
    limit_s: float = math.inf,
    request_of: Callable[[random.Random], AdviceRequest] = hostile_request,
) -> Trouble | None:
    """Plan one hostile search to its end; return the first thing that must not be.

    Args:
        number: Of the log: equal numbers give equal logs.
        limit_s: Processor seconds that one call may take.
        request_of: Makes the request.
    """
    random_state = random.Random(number)
    request = request_of(random_state)
    liar, device = Liar(random_state), random_state.choice((_CPU, _CPU, _GPU))

    def measure(command: Command) -> Measurement:
        outcome = checked_outcome(command, liar.answer(command))
        return _measured(random_state, request, command, outcome)

    return _trouble(number, request, device, recalled(number), measure, limit_s)


def search_that_turns_hostile(number: int, limit_s: float = math.inf) -> Trouble | None:
    """Plan one search that is honest at first and goes far; as ``search``.

    Lies end most searches within a dozen commands. What is planned with trials, rungs and
    replicates is reached by those that do not begin with one.
    """
    random_state = random.Random(f"late {number}")
    pick = random_state.choice
    simulated = SimulatedDevice(
        limit_bytes=pick((1 << 28, 1 << 30)),
        gradient_noise=pick((0.5, 4.0, 50.0)),
        hidden_factor=pick((1.0, 1.0, 1.3)),
        wall_factor=pick((0.1, 1.2, 3.0)),
    )
    request = replace(
        hostile_request(random_state),
        budget_s=pick((60.0, 600.0, 3600.0)),
        memory_limit_bytes=simulated.limit_bytes,
        margin_bytes=None,
        world_size=pick((1, 1, 2)),
        effective_batch_size=pick((None, None, 64)),
        target_loss=pick((None, 0.05, 0.5, 2.0)),
        max_trials=pick((None, None, 12)),
    )
    liar, honest_count, lying_share = Liar(random_state), pick((10, 30, 60)), pick((0.05, 0.2, 0.5))

    def measure(command: Command) -> Measurement:
        honest = simulated.measure(command)
        is_honest = len(simulated.commands) <= honest_count
        if is_honest or random_state.random() > lying_share:
            return honest
        return _measured(random_state, request, command, _lie(liar, command))

    return _trouble(number, request, _CPU, recalled(number), measure, limit_s)


def _lie(liar: Liar, command: Command) -> Outcome:
    """Return figures that pass, where the liar finds any in a few attempts."""
    lies = (
        checked_outcome(command, _ANSWERS[type(command)](liar, command)) for _ in range(_ATTEMPTS)
    )
    return next((lie for lie in lies if not isinstance(lie, Failed)), _IMPOSSIBLE)


def _trouble(
    number: int,
    request: AdviceRequest,
    device: Device,
    log: Log,
    measure: Callable[[Command], Measurement],
    limit_s: float,
) -> Trouble | None:
    planner = RecommendationPlanner(OptunaProposer())
    try:
        for _ in range(MOST_STEPS):
            plan = plan_once(request, device, log, limit_s, planner)
            if not isinstance(plan, Commands):
                break
            log += (measure(plan.commands[0]),)
        explained = _timed(limit_s, explain, planner.read(request, (device,), log))
        to_message(explained, explanation_pb2.Explanation())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        return Trouble(number=number, error=error)
    return None


def plan_once(
    request: AdviceRequest,
    device: Device,
    log: Log,
    limit_s: float = math.inf,
    planner: RecommendationPlanner | None = None,
) -> Plan:
    """Return what is planned after a log, once it and the best so far are as they must be.

    Raises:
        SlowCall: A call took more than ``limit_s`` processor seconds.
        ValueError: Advice that a message, a row or a reader could not take.
    """
    planner = planner or RecommendationPlanner(OptunaProposer())
    view = planner.read(request, (device,), log)
    plan = _timed(limit_s, planner.plan, view)
    best = _timed(limit_s, planner.best_so_far, view)
    for advice in (plan, best):
        if isinstance(advice, Advice):
            _check_advice(advice)
    return plan


def estimate(number: int, limit_s: float = math.inf) -> Trouble | None:
    """Plan one hostile estimate to its end; as ``search``."""
    random_state = random.Random(number)
    request = hostile_request(random_state)
    liar, device = Liar(random_state), random_state.choice((_CPU, _GPU, _ABSENT))
    planner = MemoryPlanner()
    log: Log = ()
    try:
        for _ in range(MOST_STEPS):
            step = _timed(limit_s, planner.next_step, request, device, log)
            if isinstance(step, MemoryEstimate | Refusal):
                break
            outcome = checked_outcome(step, liar.answer(step))
            log += (_measured(random_state, request, step, outcome),)
    except Exception as error:  # noqa: BLE001 - as above
        return Trouble(number=number, error=error)
    return None


def _timed(limit_s: float, function: Callable[..., T], *arguments: Any) -> T:
    begun_s = time.thread_time()
    result = function(*arguments)
    took_s = time.thread_time() - begun_s
    if took_s > limit_s:
        raise SlowCall(f"{took_s:.1f} s")
    return result


def _measured(
    random_state: random.Random, request: AdviceRequest, command: Command, outcome: Outcome
) -> Measurement:
    command_of(command_message(1, command))  # A worker reads it strictly.
    share_s = min(request.budget_s, 1e6)
    return Measurement(
        command=command,
        outcome=outcome,
        wall_s=random_state.choice((0.0, 1e-3, 0.1, share_s / 50, share_s / 5)),
        drift_bytes=random_state.choice((0, 0, 0, -(1 << 30), 1 << 40)),
        mean_power_w=random_state.choice((None, None, 0.0, _TINY, 200.0, 1e5)),
    )


def _check_advice(advice: Advice) -> None:
    """Raise ValueError for advice that a message, a row or a reader could not take."""
    from_dict(to_plain(advice), Advice)
    _check_finite("advice", to_plain(advice))


def _check_finite(path: str, value: object) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _check_finite(f"{path}.{name}", item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_finite(f"{path}[{index}]", item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path} is {value}")
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{path} is more than 64 bits hold: {value}")


def report(troubles: Sequence[Trouble]) -> str:
    """Return the numbers and errors of troubles, a line each."""
    return "\n".join(f"log {t.number}: {type(t.error).__name__}: {t.error}" for t in troubles)
