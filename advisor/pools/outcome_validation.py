"""Which answers to a command a worker may give."""

from __future__ import annotations

from typing import TypeVar

from bsadvise.model.commands import (
    Command,
    CompareOrders,
    Evaluate,
    InspectTask,
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
from bsadvise.model.measurements import (
    Evaluation,
    Failed,
    LoaderTimes,
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
from bsadvise.model.observation import Observation, ScriptRun
from bsadvise.model.task import TaskProfile

from advisor.pipe.unions import with_texts
from advisor.pools.output import plain_text

T = TypeVar("T")

MOST_CHARACTERS = 8192

_RATE_TOLERANCE = 1e-6
"""Relative; the rates of a range test are powers of a factor that is rounded."""

_FIGURES: dict[type, type] = {
    InspectTask: TaskProfile,
    ObserveScript: Observation,
    RunScript: ScriptRun,
    TraceMemory: MemoryTrace,
    RunStep: StepRun,
    TimeSteps: StepTimes,
    TimeLoader: LoaderTimes,
    Train: TrainRun,
    Evaluate: Evaluation,
    Verify: Verification,
    RangeTest: RangeRun,
    CompareOrders: OrderComparison,
}


def is_possible(command: Command, outcome: Outcome) -> bool:
    """Return whether a worker may give ``outcome`` for ``command``.

    Those are the command's own figures, as far as they can be true, a failure, and out of
    memory. That time ran out is for the daemon to say.
    """
    if isinstance(outcome, Failed | OutOfMemory):
        return True
    if not are_figures_of(command, outcome):
        return False
    match command, outcome:
        case Train(), TrainRun():
            return _is_of_that_training(command, outcome)
        case Verify(), Verification():
            steps_timed = len(outcome.step_times_s)
            return steps_timed <= outcome.step_count <= command.step_count
        case RangeTest(), RangeRun():
            return _is_of_that_range(command, outcome)
        case CompareOrders(), OrderComparison():
            return _is_of_those_orders(command, outcome)
        case ObserveScript() | RunScript(), Observation() | ScriptRun():
            return outcome.step_count <= command.step_count
        case TimeLoader(), LoaderTimes():
            repeats = outcome.is_stream_repeated and command.num_workers is None
            return not repeats and sum(outcome.batch_times_s) <= command.time_limit_s
        case TimeSteps(), StepTimes():
            return sum(outcome.step_times_s) <= command.time_limit_s
    return True


def are_figures_of(command: Command, outcome: Outcome) -> bool:
    """Return whether an outcome is of the kind of figures that a command asks for."""
    return isinstance(outcome, _FIGURES[type(command)])


def _is_of_that_training(command: Train, outcome: TrainRun) -> bool:
    norms = outcome.gradient_norms
    return (
        outcome.step_count <= command.step_count
        and len(outcome.train_losses) <= outcome.step_count
        and len(outcome.earlier_losses) <= len(command.evaluation_steps)
        and (
            norms is None
            or (
                max(len(norms.big_squared_norms), len(norms.raw_norms)) <= outcome.step_count
                and norms.small_batch_size == command.micro_batch_size
                and norms.big_batch_size == command.micro_batch_size * command.accumulation_steps
            )
        )
    )


def _is_of_that_range(command: RangeTest, outcome: RangeRun) -> bool:
    low = command.smallest_learning_rate * (1 - _RATE_TOLERANCE)
    high = command.largest_learning_rate * (1 + _RATE_TOLERANCE)
    rates = outcome.learning_rates
    return len(rates) <= command.step_count and all(low <= rate <= high for rate in rates)


def _is_of_those_orders(command: CompareOrders, outcome: OrderComparison) -> bool:
    """Return whether the norms, if any, are of batches as they were asked for."""
    counts = ((outcome.stored, 1), (outcome.shuffled, command.shuffle_count))
    return all(
        norms is None
        or (
            norms.small_batch_size == command.batch_size
            and norms.big_batch_size % command.batch_size == 0
            and 3 <= norms.big_batch_size // command.batch_size <= command.batch_count
            and len(norms.big_squared_norms) == count
        )
        for norms, count in counts
    )


def cleaned(value: T) -> T:
    """Return an outcome whose texts are plain and of a length that a person would read."""
    return with_texts(value, lambda text: plain_text(text)[:MOST_CHARACTERS])
