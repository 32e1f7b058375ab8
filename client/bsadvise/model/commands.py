"""What the planner can ask a worker to measure.

A command is complete in itself: a worker that has just been started can carry it out with
nothing but the user's code and the job's checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.horizon import StepSchedule
from bsadvise.model.observation import PlacedValue, PlaceKind
from bsadvise.model.values import OpenEnum, Tagged, Unknown


class Stage(OpenEnum):
    """The stages of one recommendation, in order."""

    INSPECT = "inspect"
    MEMORY = "memory"
    THROUGHPUT = "throughput"
    REFERENCE = "reference"
    TRIALS = "trials"
    VERIFY = "verify"


class TrialOrigin(OpenEnum):
    """Why a trial was run."""

    REFERENCE = "reference"
    """It is the user's own recipe."""
    SUGGESTED = "suggested"
    """The model of batch size and learning rate suggests it."""
    NEIGHBOUR = "neighbour"
    """It is a neighbour of the best trial so far: local search."""
    SAMPLER = "sampler"
    """Optuna's sampler proposed it."""


class Lever(OpenEnum):
    """A memory saving: a change to the training that leaves room for a larger micro-batch."""

    BF16 = "bf16"
    """Autocast to bfloat16."""
    CHECKPOINTING = "checkpointing"
    """Recompute repeated blocks in the backward pass, torch.utils.checkpoint."""
    FUSED_OPTIMIZER = "fused_optimizer"
    """The optimizer's own class with fused=True, which needs no temporaries."""
    EIGHT_BIT_OPTIMIZER = "eight_bit_optimizer"
    """Adam with state of one byte a value, as bitsandbytes keeps it."""
    SGD = "sgd"
    """SGD with momentum in place of Adam: one value of state a parameter, not two."""
    BUCKET_VIEW = "bucket_view"
    """gradient_as_bucket_view=True of DistributedDataParallel: one copy of gradients less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectTask(Tagged):
    """Load the model file and say what it holds."""

    time_limit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveScript(Tagged):
    """Run a script at its own setting for some optimizer steps, and say what it trains with.

    Attributes:
        time_limit_s: Seconds after which the worker is stopped.
        step_count: Optimizer steps after which the script is stopped.
    """

    time_limit_s: float
    step_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScript(Tagged):
    """Run a script as its user starts it, with other values where it says them, and count.

    Nothing of its training is changed, and it is stopped after a while.

    Attributes:
        time_limit_s: Seconds after which the worker is stopped.
        values: What is said in other words, in a copy of the script's files.
        step_count: Optimizer steps after which it is stopped.
        measure_s: Seconds of timed steps after which it is stopped; at least three are timed.
    """

    time_limit_s: float
    values: tuple[PlacedValue, ...]
    step_count: int
    measure_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceMemory(Tagged):
    """Follow two training steps and one evaluation batch with fake tensors.

    Attributes:
        time_limit_s: Seconds after which the worker is stopped.
        micro_batch_size: b, samples.
        accumulation_steps: a; 2 stands for any greater number, since the gradients of the
            first micro-batch are what the later ones find.
        lever: The memory saving to apply first; None to follow it as it is.
        is_typical: Whether to draw samples as they come, not the longest in every place.
        sample: Index of the sample in every place of a batch; None for the longest.
    """

    time_limit_s: float
    micro_batch_size: int
    accumulation_steps: int = 1
    lever: Lever | None = None
    is_typical: bool = False
    sample: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep(Tagged):
    """Run two real training steps with the longest sample, in a fresh process.

    Attributes:
        time_limit_s: Seconds after which the worker is stopped.
        micro_batch_size: b, samples.
        accumulation_steps: a, micro-batches a step.
        sample: Index of the sample in every place of a batch; None for the longest.
    """

    time_limit_s: float
    micro_batch_size: int
    accumulation_steps: int = 1
    sample: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSteps(Tagged):
    """Time whole training steps of one micro-batch, data loading left out.

    Attributes:
        time_limit_s: Seconds after which the worker is stopped.
        micro_batch_size: b, samples.
        measure_s: Seconds to spend on timed steps; at least three are timed whatever they take.
    """

    time_limit_s: float
    micro_batch_size: int
    measure_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLoader(Tagged):
    """Time the data loader alone.

    Attributes:
        time_limit_s: Seconds after which the worker is stopped.
        batch_size: Samples a batch.
        measure_s: Seconds to spend on timed batches; at least two are timed.
        num_workers: Processes of the loader, at least 1, in place of the user's number; None for
            that.
    """

    time_limit_s: float
    batch_size: int
    measure_s: float
    num_workers: int | None = None


REFERENCE_TRIAL = 0
"""Number of the reference recipe's trial. The reference run is its first rung."""

TARGET_EVALUATIONS = 3
"""A target loss is reached when the mean of so many held-out losses is at or below it: one alone
may be low by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Train(Tagged):
    """Train for some optimizer steps, then measure the held-out loss.

    All trainings of a job start from the same weights (fresh, or those of a checkpoint) and
    see the samples in the same order, so that what differs between them is the setting alone.

    Attributes:
        time_limit_s: Seconds after which the worker is stopped.
        micro_batch_size: b, samples.
        accumulation_steps: a, micro-batches a step.
        learning_rate: η of every parameter group.
        step_count: Optimizer steps to take in this command.
        evaluation_batch_size: Samples a batch of the held-out measure.
        evaluation_steps: Steps of this command after which to measure the held-out loss as
            well, rising, each below step_count. At the end it is always measured.
        stop_after_s: Seconds after which to take no further step, measure and answer; None to
            take them all. It keeps the budget where steps turn out slower than they were timed.
        first_sample: Position in the data order at which to begin, samples. A training that goes
            on from a checkpoint has it from there.
        start_checkpoint: Name of the checkpoint to begin from; None for fresh weights.
        save_checkpoint: Name under which to keep the end; None to keep nothing.
        measure_noise: Whether to collect the gradient norms of the noise scale. Needs at
            least two micro-batches a step.
        trial: Number of the trial; None for the reference run.
        rung: Which rung of the trial this is, from 0.
        origin: Why the trial is run; None for the reference run.
        target_loss: Held-out loss at which to stop, once the mean of TARGET_EVALUATIONS measures
            on the way is at or below it; None to take all steps.
        replicate: Which weights and data order: 0 for the job's own, other numbers for others
            drawn by the same seed.
        is_loss_sum: Whether the loss of a batch is the sum over its samples. A step's gradient is
            then that of the sum over its micro-batches, and the losses that are told are of one
            sample.
        in_fresh_process: Whether to begin in a process in which nothing has run before, since the
            user's code keeps state that no checkpoint holds.
        schedule: What η is multiplied by, step by step, in a complete training; None for a
            constant rate.
        complete_number: Which of the complete trainings this is, from 1; None for the first steps
            of a longer one, and at a constant rate.
        stated_share: Samples of this command over those of the training whose length was stated,
            above 0; None at a constant rate.
    """

    time_limit_s: float
    micro_batch_size: int
    accumulation_steps: int
    learning_rate: float
    step_count: int
    evaluation_batch_size: int
    evaluation_steps: tuple[int, ...] = ()
    stop_after_s: float | None = None
    first_sample: int = 0
    start_checkpoint: str | None = None
    save_checkpoint: str | None = None
    measure_noise: bool = False
    trial: int | None = None
    rung: int = 0
    origin: TrialOrigin | None = None
    target_loss: float | None = None
    replicate: int = 0
    is_loss_sum: bool = False
    in_fresh_process: bool = False
    schedule: StepSchedule | None = None
    complete_number: int | None = None
    stated_share: float | None = None

    @property
    def effective_batch_size(self) -> int:
        """Samples a step on one device."""
        return self.micro_batch_size * self.accumulation_steps

    @property
    def trial_number(self) -> int:
        """Number of the trial, of which the reference run is the first rung of one."""
        return REFERENCE_TRIAL if self.trial is None else self.trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluate(Tagged):
    """Measure the held-out loss of a checkpoint, and how long that takes.

    Attributes:
        time_limit_s: Seconds after which the worker is stopped.
        evaluation_batch_size: Samples a batch.
        checkpoint: Name of the checkpoint; None for fresh weights.
        is_loss_sum: Whether the loss of a batch is the sum over its samples: the loss that is told
            is of one sample.
    """

    time_limit_s: float
    evaluation_batch_size: int
    checkpoint: str | None = None
    is_loss_sum: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify(Tagged):
    """Run the very setting to be recommended, in a fresh process.

    Takes ``step_count`` optimizer steps, the first of them with the longest sample in every
    place, then one evaluation batch.

    Attributes:
        time_limit_s: Seconds after which the worker is stopped.
        micro_batch_size: b, samples.
        accumulation_steps: a, micro-batches a step.
        learning_rate: η of every parameter group.
        step_count: Optimizer steps to take.
        is_loss_sum: Whether the loss of a batch is the sum over its samples, as in a training.
        sample: Index of the sample in every place of the first step's batches; None for the
            longest.
    """

    time_limit_s: float
    micro_batch_size: int
    accumulation_steps: int
    learning_rate: float
    step_count: int
    is_loss_sum: bool = False
    sample: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeTest(Tagged):
    """Train from fresh weights while the learning rate grows by a factor with each step.

    The weights are those, and the samples come in the order, of every other training of the job.

    Attributes:
        time_limit_s: Seconds after which the worker is stopped.
        micro_batch_size: b, samples.
        accumulation_steps: a, micro-batches a step.
        smallest_learning_rate: η of the first step.
        largest_learning_rate: η of the last step, if the loss has not risen for good before.
        step_count: Optimizer steps from the smallest to the largest rate.
        stop_after_s: Seconds after which to take no further step; None to take them all.
        is_loss_sum: Whether the loss of a batch is the sum over its samples, as in a training.
    """

    time_limit_s: float
    micro_batch_size: int
    accumulation_steps: int
    smallest_learning_rate: float
    largest_learning_rate: float
    step_count: int
    stop_after_s: float | None = None
    is_loss_sum: bool = False

    @property
    def factor(self) -> float:
        """How many times the rate of one step is that of the step before."""
        ratio = self.largest_learning_rate / self.smallest_learning_rate
        growth: float = ratio ** (1 / (self.step_count - 1))
        return growth


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOrders(Tagged):
    """Take gradients of batches in the stored order, and of the same samples shuffled.

    At fresh weights, which stay as they are. The batches are spread over the data: where a data
    set is sorted, those that follow one another would all be alike.

    Attributes:
        time_limit_s: Seconds after which the worker is stopped.
        batch_size: Samples a batch.
        batch_count: Batches in each order.
        shuffle_count: Shuffled orders.
        most_read_samples: How far a stream may be read to spread the batches, samples.
    """

    time_limit_s: float
    batch_size: int
    batch_count: int
    shuffle_count: int
    most_read_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallAnswers(Tagged):
    """Ask what earlier answers about the same task have found; no worker has a part in it.

    It stands first in a log, so that all that decides an answer is in the log.

    Attributes:
        most_answers: How many are looked at, the newest first; at least 1.
    """

    most_answers: int


Command = (
    InspectTask
    | ObserveScript
    | RunScript
    | TraceMemory
    | RunStep
    | TimeSteps
    | TimeLoader
    | Train
    | Evaluate
    | Verify
    | RangeTest
    | CompareOrders
)
"""What a worker carries out."""

_STAGES: dict[type, Stage] = {
    InspectTask: Stage.INSPECT,
    ObserveScript: Stage.INSPECT,
    TraceMemory: Stage.MEMORY,
    RunStep: Stage.MEMORY,
    TimeSteps: Stage.THROUGHPUT,
    TimeLoader: Stage.THROUGHPUT,
    Evaluate: Stage.REFERENCE,
    Verify: Stage.VERIFY,
    RunScript: Stage.VERIFY,
    RangeTest: Stage.REFERENCE,
    CompareOrders: Stage.REFERENCE,
    RecallAnswers: Stage.INSPECT,
}


def stage_of(command: Command | RecallAnswers | Unknown) -> Stage:
    """Return the stage that a command belongs to."""
    match command:
        case Unknown():
            return Stage.unknown(command.said)
        case RunScript() if any(one.place.kind is PlaceKind.PLACEHOLDER for one in command.values):
            return Stage.THROUGHPUT
        case Train():
            return Stage.REFERENCE if command.trial is None else Stage.TRIALS
        case _:
            return _STAGES[type(command)]
