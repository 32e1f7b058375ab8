"""What comes back from a worker: figures, or the way in which a command failed."""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.caveats import Caveat
from bsadvise.model.commands import Command, RecallAnswers
from bsadvise.model.observation import Observation, ScriptRun
from bsadvise.model.task import TaskProfile
from bsadvise.model.values import OpenEnum, Tagged, Unknown, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryParts(Value):
    """Live bytes at the peak of a step, by what they hold."""

    parameter_bytes: int = 0
    buffer_bytes: int = 0
    gradient_bytes: int = 0
    optimizer_state_bytes: int = 0
    activation_bytes: int = 0
    temporary_bytes: int = 0
    input_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTrace(Tagged):
    """Predicted memory of training at one micro-batch size.

    Attributes:
        peak_bytes: Most live bytes over two optimizer steps.
        evaluation_peak_bytes: Most live bytes over one evaluation batch of the same size.
        parts: What the peak is made of.
        was_run: True when fake tensors could not follow the model and real steps were run.
        caveats: What the user should know about the prediction.
        reserved_bytes: Most that CUDA's allocator would reserve for all of this; None where
            the job's device is not of CUDA.
    """

    peak_bytes: int
    evaluation_peak_bytes: int
    parts: MemoryParts
    was_run: bool = False
    caveats: tuple[Caveat, ...] = ()
    reserved_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun(Tagged):
    """Measured memory of real steps; reserved bytes on CUDA, live bytes on a CPU."""

    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes(Tagged):
    """Timed steps of one micro-batch, warmed up and synchronised.

    Attributes:
        step_times_s: Seconds of each timed step: forward, backward, optimizer.
        optimizer_times_s: Seconds of the optimizer's share of each of those steps.
        processor_wait_s: Seconds for which threads of the process waited for a processor that
            others had, summed over them; None where the kernel does not say.
    """

    step_times_s: tuple[float, ...]
    optimizer_times_s: tuple[float, ...]
    processor_wait_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderTimes(Tagged):
    """Seconds to fetch a batch, several times.

    Attributes:
        batch_size: Samples a batch.
        batch_times_s: Seconds of each; where several processes load, the mean over one batch from
            each of them.
        processor_time_per_batch_s: Mean seconds, at least 0, of processor time in which a batch is
            loaded, over all threads and processes that load and those that they have waited for;
            None where the kernel does not say.
        processor_wait_per_batch_s: Mean seconds, at least 0, for which threads that load a batch
            waited for a processor that others had; None where the kernel does not say.
        is_stream_repeated: Whether each of the processes asked for reads the whole stream, so that
            samples repeat.
    """

    batch_size: int
    batch_times_s: tuple[float, ...]
    processor_time_per_batch_s: float | None = None
    processor_wait_per_batch_s: float | None = None
    is_stream_repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientNorms(Value):
    """Mean squared gradient norms at two batch sizes, for the noise scale.

    Where the optimizer is of Adam's kind, gradients are divided by √v before the norm is
    taken: its noise scale is that of the steps it makes.

    Attributes:
        small_batch_size: Samples of one micro-batch.
        big_batch_size: Samples of one step.
        small_squared_norms: For each step, mean of ‖G‖² over its micro-batches.
        big_squared_norms: For each step, ‖G‖² of the accumulated gradient.
        raw_norms: For each step, ‖G‖ of the accumulated gradient as it is, whatever the
            optimizer; empty in logs from before it was measured.
    """

    small_batch_size: int
    big_batch_size: int
    small_squared_norms: tuple[float, ...]
    big_squared_norms: tuple[float, ...]
    raw_norms: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRun(Tagged):
    """One rung of a trial's training, or the reference run.

    Attributes:
        step_count: Optimizer steps taken; fewer than asked for when the loss diverged, the
            command's stop_after_s had passed or its target_loss was reached.
        sample_count: Samples seen.
        train_losses: Training loss, at most 64 evenly spaced means over the steps.
        earlier_losses: Held-out loss after each of the command's evaluation_steps that was
            reached with finite losses.
        held_out_loss: Loss on the held-out samples at the end; None when it is not finite, and
            when there is nothing to measure on.
        diverged: Whether a loss was not finite.
        gradient_norms: For the noise scale, when asked for.
    """

    step_count: int
    sample_count: int
    train_losses: tuple[float, ...]
    earlier_losses: tuple[float, ...] = ()
    held_out_loss: float | None = None
    diverged: bool = False
    gradient_norms: GradientNorms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(Tagged):
    """A held-out loss.

    Attributes:
        held_out_loss: The loss; None when it is not finite.
        evaluation_s: Seconds that measuring it took; None in logs of older versions.
    """

    held_out_loss: float | None = None
    evaluation_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Tagged):
    """The recommended setting, run.

    Attributes:
        step_count: Optimizer steps taken.
        peak_bytes: Most memory over the steps and the evaluation batch.
        step_times_s: Seconds of each step after the first.
        final_loss: Training loss of the last step; None when it is not finite.
        not_finite_step: The first step, from 1, whose loss was not finite; None when all were, and
            in logs of older versions.
    """

    step_count: int
    peak_bytes: int
    step_times_s: tuple[float, ...]
    final_loss: float | None = None
    not_finite_step: int | None = None

    @property
    def is_finite(self) -> bool:
        """Whether the losses were finite."""
        return self.final_loss is not None and self.not_finite_step is None


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeRun(Tagged):
    """What training did while its learning rate grew.

    Attributes:
        learning_rates: η of each step whose loss was finite, rising.
        train_losses: Training loss of each of them, before the step was taken.
        diverged: Whether it ended early because the loss had risen for good or was not finite.
    """

    learning_rates: tuple[float, ...]
    train_losses: tuple[float, ...]
    diverged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderComparison(Tagged):
    """Gradient norms of batches in the stored order and in shuffled ones.

    The small batches are those that were compared, the big one is all of them together.

    Attributes:
        stored: Of the stored order; None when a gradient was not finite, or when a stream was too
            short.
        shuffled: Of each shuffled order of the same samples; None likewise.
    """

    stored: GradientNorms | None = None
    shuffled: GradientNorms | None = None


Figures = (
    TaskProfile
    | Observation
    | MemoryTrace
    | StepRun
    | StepTimes
    | LoaderTimes
    | TrainRun
    | Evaluation
    | Verification
    | ScriptRun
    | RangeRun
    | OrderComparison
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfMemory(Tagged):
    """The command ran out of memory.

    Attributes:
        message: The back end's words.
        is_host: Whether it was the machine's memory, not the device's.
    """

    message: str
    is_host: bool = False


class FaultCode(OpenEnum):
    """What went wrong in user code, or in the worker that ran it."""

    MODEL_FILE = "model_file"
    """The file does not keep to the contract: a name is missing or of the wrong type."""
    USER_EXCEPTION = "user_exception"
    """User code raised."""
    PROCESS_DIED = "process_died"
    """The process ended by itself or by a signal."""
    WORKER = "worker"
    """The worker itself failed; a defect of ours."""
    MEASUREMENT = "measurement"
    """What came back cannot be a measurement: a time of nothing, no bytes, more than can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Value):
    """Why a command failed, in words that the model file's author can act on.

    Attributes:
        code: What kind of failure.
        message: What happened, one or two sentences.
        hook: Name in the model file that was being run, such as "build_model".
        file: The user's file, as a path inside the bundle.
        line: Line in that file.
        fix: What to do about it.
        traceback: The user's frames of the traceback.
        output: The end of what user code printed.
    """

    code: FaultCode
    message: str
    hook: str | None = None
    file: str | None = None
    line: int | None = None
    fix: str | None = None
    traceback: str | None = None
    output: str | None = None

    def __str__(self) -> str:
        """Return where, what and what to do, as one paragraph."""
        place = f"{self.file}:{self.line}: " if self.file and self.line else ""
        hook = "while it was imported: " if self.hook == "import" else f"in {self.hook}: "
        hook = hook if self.hook else ""
        message = f"{_sentence(self.message)} {self.fix}" if self.fix else self.message
        return f"{place}{hook}{message}"


def _sentence(text: str) -> str:
    """Return a message with a full stop, unless it ends as a sentence does, in quotes or not."""
    text = text.rstrip().rstrip(":;,")
    return text if text.rstrip("\"')]}»”’").endswith((".", "!", "?", "…")) else f"{text}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Tagged):
    """The command failed."""

    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut(Tagged):
    """The command did not end within its time limit and its process was killed.

    Attributes:
        limit_s: The limit.
        hook: Name in the model file that was being run.
        file: The user's file in which the process was then, as a path inside the bundle.
        line: Line in that file.
        traceback: The user's frames of the stack.
    """

    limit_s: float
    hook: str | None = None
    file: str | None = None
    line: int | None = None
    traceback: str | None = None

    @property
    def place(self) -> str | None:
        """Where it was, as "model.py:12"; None where that is not known."""
        return f"{self.file}:{self.line}" if self.file and self.line else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEstimate(Value):
    """An estimate of a positive quantity, whose error is a factor.

    Attributes:
        median: In the quantity's unit, above 0.
        log_deviation: Standard deviation of its natural logarithm, above 0.
    """

    median: float
    log_deviation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior(Tagged):
    """What earlier answers about the same task say of the scaling model's unknowns.

    Attributes:
        answer_count: Earlier answers that it rests on; 0 when there were none.
        critical_batch_size: The batch at which gradient noise costs as much as curvature, samples;
            None when there were none.
        largest_rate: The learning rate that curvature allows; None when there were none.
    """

    answer_count: int
    critical_batch_size: LogEstimate | None = None
    largest_rate: LogEstimate | None = None


Outcome = Figures | Prior | OutOfMemory | Failed | TimedOut | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Value):
    """One entry of a recommendation's log: what was asked, what came back, how long it took.

    Attributes:
        command: What was asked.
        outcome: What came back.
        wall_s: Seconds from the asking to the answer, worker start included.
        drift_bytes: Most by which memory that other processes hold on the device changed
            meanwhile; 0 where it was not read.
        mean_power_w: Watts that the device drew meanwhile, on average; of TimeSteps, while
            steps were timed. None where it does not say.
    """

    command: Command | RecallAnswers | Unknown
    outcome: Outcome
    wall_s: float
    drift_bytes: int = 0
    mean_power_w: float | None = None


Log = tuple[Measurement, ...]
"""All measurements of one recommendation, oldest first."""
