"""Commands, outcomes and settings in a few words."""

from __future__ import annotations

from statistics import median

from bsadvise.model.advice import Advice
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
    Stage,
    TimeLoader,
    TimeSteps,
    TraceMemory,
    Train,
    Verify,
    stage_of,
)
from bsadvise.model.measurements import (
    Evaluation,
    Failed,
    LoaderTimes,
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
from bsadvise.model.observation import Observation, ScriptRun
from bsadvise.model.recommendation import Waiting
from bsadvise.model.task import TaskProfile
from bsadvise.model.units import (
    format_bytes,
    format_number,
    format_rate,
    format_seconds,
    number_text,
)
from bsadvise.model.values import Unknown

_WHOLE = 0.98
"""Share of the stated training from which on a complete training counts as all of it."""


def describe_advice(advice: Advice) -> str:
    """Return an answer's setting: "batch 64 (32 x 2), lr 3e-3"."""
    return _setting(
        (advice.micro_batch_size, advice.accumulation_steps, advice.world_size),
        advice.learning_rate,
    )


def describe_waiting(waiting: Waiting, now_s: float) -> str:
    """Return a place in the queue: "waiting for the device: number 3, at most about 2 min"."""
    words = "waiting for the device"
    if is_next(waiting, now_s):
        return words
    wait_s = waiting.expected_start_at_s - now_s
    when = f", at most about {format_seconds(round(wait_s))}" if wait_s >= 1 else ""
    return f"{words}: number {waiting.position}{when}"


def is_next(waiting: Waiting, now_s: float) -> bool:
    """Return whether nothing is ahead: nobody in the queue, nothing on the device."""
    return waiting.position == 1 and waiting.expected_start_at_s - now_s < 1


def describe_task(command: Command | RecallAnswers | Unknown) -> str:
    """Return the stage and what is measured; a trial's words name their stage themselves."""
    stage, words = stage_of(command), describe_command(command)
    return words if stage is Stage.TRIALS else f"{stage}: {words}"


def describe_command(command: Command | RecallAnswers | Unknown) -> str:
    """Return what is measured: "trial 3 (suggested), rung 2, batch 96, lr 4e-3".

    Of a stated length: "complete training 3, 1/64 of the length, batch 96, lr 4e-3".
    """
    match command:
        case RecallAnswers() | InspectTask() | ObserveScript():
            return _looking(command)
        case TraceMemory():
            return f"a step's memory at {_batch(command)}"
        case RunStep():
            return f"running real steps at {_batch(command)}"
        case TimeSteps():
            return f"timing steps at batch {command.micro_batch_size}"
        case TimeLoader():
            count = command.num_workers
            with_processes = "" if count is None else f" with {count} worker(s)"
            return f"timing the data loader at batch {command.batch_size}{with_processes}"
        case Verify():
            return f"running the recommended setting, {describe_setting(command)}"
        case RunScript():
            values = ", ".join(
                f"{one.place.quantity} {number_text(one.after)}" for one in command.values
            )
            return f"running the script itself, {values or 'as it is'}"
        case Train() | Evaluate() | RangeTest() | CompareOrders():
            return _learning(command)
        case Unknown():
            return "measuring what this client is too old to name"


def _looking(command: RecallAnswers | InspectTask | ObserveScript) -> str:
    match command:
        case RecallAnswers():
            return "looking up earlier answers about this task"
        case InspectTask():
            return "loading model and data"
        case ObserveScript():
            return f"running the script for {command.step_count} steps"


def describe_outcome(outcome: Outcome) -> str:
    """Return what came of it."""
    match outcome:
        case TaskProfile() | Observation() | ScriptRun() | Prior():
            return _known(outcome)
        case MemoryTrace():
            how = "measured" if outcome.was_run else "predicted"
            return f"{format_bytes(outcome.peak_bytes)} {how}"
        case StepRun():
            return f"{format_bytes(outcome.peak_bytes)} measured"
        case StepTimes():
            return f"{format_seconds(median(outcome.step_times_s))} a step"
        case LoaderTimes():
            return _loader_times(outcome)
        case TrainRun() | Evaluation() | RangeRun() | OrderComparison():
            return _learnt(outcome)
        case Verification():
            steps = f"{outcome.step_count} steps run"
            return f"{steps}, {format_bytes(outcome.peak_bytes)} measured"
        case OutOfMemory() | Failed() | TimedOut():
            return _misfortune(outcome)
        case Unknown():
            return "done"


def _script_run(run: ScriptRun) -> str:
    words = f"{run.step_count} steps run"
    if run.step_times_s:
        words += f", {format_seconds(median(run.step_times_s))} a step"
    return words if run.peak_bytes is None else f"{words}, {format_bytes(run.peak_bytes)}"


def _loader_times(times: LoaderTimes) -> str:
    words = f"{format_seconds(median(times.batch_times_s))} a batch"
    computing_s = times.processor_time_per_batch_s
    if computing_s is None:
        return words
    return f"{words}, {format_seconds(computing_s)} of processor time"


def _known(outcome: TaskProfile | Observation | ScriptRun | Prior) -> str:
    match outcome:
        case TaskProfile():
            return _profile(outcome)
        case Observation():
            return "no setting seen" if outcome.reference is None else f"found: {outcome.reference}"
        case ScriptRun():
            return _script_run(outcome)
        case Prior():
            return _prior(outcome)


def _prior(prior: Prior) -> str:
    if prior.critical_batch_size is None:
        return "none"
    batch = format_number(prior.critical_batch_size.median)
    return f"{prior.answer_count}, with a critical batch of about {batch} samples"


def _learning(command: Train | Evaluate | RangeTest | CompareOrders) -> str:
    match command:
        case Train():
            return f"{_training(command)}, {describe_setting(command)}"
        case Evaluate():
            return "measuring the held-out loss"
        case RangeTest():
            low, high = command.smallest_learning_rate, command.largest_learning_rate
            return f"testing learning rates from {format_rate(low)} to {format_rate(high)}"
        case CompareOrders():
            return f"comparing stored and shuffled batches of {command.batch_size}"


def _learnt(outcome: TrainRun | Evaluation | RangeRun | OrderComparison) -> str:
    match outcome:
        case TrainRun() | Evaluation():
            return _training_outcome(outcome)
        case RangeRun():
            return _range(outcome)
        case OrderComparison():
            is_known = outcome.stored is not None and outcome.shuffled is not None
            return "gradients of both compared" if is_known else "no gradients to compare"


def _training(command: Train) -> str:
    if command.trial is None:
        return "training the reference recipe"
    if command.stated_share is not None:
        return _stated(command.complete_number, command.stated_share)
    origin = f" ({command.origin})" if command.origin else ""
    return f"trial {command.trial}{origin}, rung {command.rung + 1}"


def _stated(number: int | None, share: float) -> str:
    """Return a complete training, or the first steps of the stated one, and how long it is."""
    if share > 1 / _WHOLE:
        part = f"{format_number(share)} times the length"
    elif share > _WHOLE:
        part = "all of the length"
    else:
        part = f"1/{format_number(1 / share)} of the length"
    if number is None:
        return f"first steps of the stated training, {part}"
    return f"complete training {number}, {part}"


def _profile(profile: TaskProfile) -> str:
    size = "" if profile.dataset_size is None else f", {profile.dataset_size:,} samples"
    trained = profile.trainable_parameter_count
    share = f" ({trained:,} trainable)" if 0 < trained < profile.parameter_count else ""
    return (
        f"{profile.model_name}, {profile.parameter_count:,} parameters{share}, "
        f"{profile.optimizer.optimizer_name}{size}"
    )


def _training_outcome(outcome: TrainRun | Evaluation) -> str:
    if isinstance(outcome, TrainRun) and outcome.diverged:
        return f"diverged after {outcome.step_count} steps"
    if outcome.held_out_loss is not None:
        return f"held-out loss {outcome.held_out_loss:.4g}"
    if isinstance(outcome, TrainRun) and outcome.train_losses:
        return f"training loss {outcome.train_losses[-1]:.4g}"
    return "no finite loss"


def _range(run: RangeRun) -> str:
    if not run.learning_rates:
        return "no finite loss"
    last = format_rate(run.learning_rates[-1])
    return f"diverged by lr {last}" if run.diverged else f"stable up to lr {last}"


def _misfortune(outcome: OutOfMemory | Failed | TimedOut) -> str:
    match outcome:
        case OutOfMemory():
            return "out of memory" + (" (the machine's)" if outcome.is_host else "")
        case Failed():
            return f"failed: {outcome.fault}"
        case TimedOut():
            where = f" in {outcome.hook}" if outcome.hook else ""
            where += f" at {outcome.place}" if outcome.place else ""
            return f"stopped after {format_number(outcome.limit_s)} s{where}"


def _batch(command: TraceMemory | RunStep) -> str:
    return _factors((command.micro_batch_size, command.accumulation_steps))


def describe_setting(command: Train | Verify) -> str:
    """Return what is trained with: "batch 64 (32 x 2), lr 3e-3"."""
    return _setting((command.micro_batch_size, command.accumulation_steps), command.learning_rate)


def _setting(factors: tuple[int, ...], learning_rate: float) -> str:
    return f"{_factors(factors)}, lr {format_rate(learning_rate)}"


def _factors(factors: tuple[int, ...]) -> str:
    while len(factors) > 1 and factors[-1] == 1:
        factors = factors[:-1]
    total = 1
    for factor in factors:
        total *= factor
    split = f" ({' x '.join(map(str, factors))})" if len(factors) > 1 else ""
    return f"batch {total}{split}"
