"""What running a script at its own setting shows of its training."""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.values import OpenEnum, Tagged, Value

OBSERVED_VARIABLE = "BSADVISE_OBSERVED"
"""Set for scripts that are run to be measured: what asks for advice in them must not ask again."""


class TrainingLoop(OpenEnum):
    """Whose loop trains."""

    SCRIPT = "script"
    """The script's own."""
    LIGHTNING = "lightning"
    """That of Lightning's ``Trainer.fit``."""
    TRANSFORMERS = "transformers"
    """That of Transformers' ``Trainer.train``, or of a trainer that inherits it."""


class BatchSource(OpenEnum):
    """Where the samples of a step come from."""

    LOADER = "loader"
    """A DataLoader that makes batches of a number of samples."""
    BATCH_SAMPLER = "batch_sampler"
    """A DataLoader whose batch sampler, or whose data set, decides what makes a batch."""
    OTHER = "other"
    """No DataLoader: tensors that the script cuts into batches, or another library's loader."""
    SAME_TENSORS = "same_tensors"
    """No DataLoader: every step sees the same tensors."""


class ObservationEnd(OpenEnum):
    """Why the observation ended."""

    ENOUGH_STEPS = "enough_steps"
    """As many steps as were to be seen were seen."""
    SCRIPT_ENDED = "script_ended"
    """The script ended by itself."""
    TIME_LIMIT = "time_limit"
    """The time was over."""


class Quantity(OpenEnum):
    """What a place in the user's code gives a value to."""

    MICRO_BATCH_SIZE = "micro_batch_size"
    """Samples of one batch of the training loader."""
    LEARNING_RATE = "learning_rate"
    """The optimizer's learning rate."""
    BATCH_SIZE = "batch_size"
    """Samples an optimizer step, which the script divides by the batches that it accumulates."""
    ACCUMULATION_STEPS = "accumulation_steps"
    """Batches an optimizer step."""


class PlaceKind(OpenEnum):
    """What a place in the user's code is."""

    FLAG = "flag"
    """An argument of the command line."""
    CONFIGURATION_KEY = "configuration_key"
    """A key of a configuration file."""
    CONSTANT = "constant"
    """A name that is given a number."""
    LITERAL = "literal"
    """A number where it is used."""
    PLACEHOLDER = "placeholder"
    """A name in braces on a command line that is given with ``--command``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Value):
    """Where the user's code says a value.

    Attributes:
        quantity: What it is the value of.
        kind: What the place is.
        name: The flag, the key, the name, or what the number is passed as, such as "batch_size".
        file: Path in the bundle; None on a command line.
        line: Line in that file; None on a command line.
        is_confirmed: Whether a run in which nothing but this was changed trained with the changed
            value.
    """

    quantity: Quantity
    kind: PlaceKind
    name: str
    file: str | None = None
    line: int | None = None
    is_confirmed: bool = False

    def __str__(self) -> str:
        """Return the flag, or the name with file and line."""
        return self.name if self.file is None else f"{self.name}, {self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedValue(Value):
    """A value to be said in place of another, and where.

    Attributes:
        place: Where.
        after: What is to be said, above 0.
        before: What is said there, above 0; None for a placeholder.
    """

    place: Place
    after: float
    before: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference(Value):
    """The setting that a script trains with by itself, as it was seen.

    Attributes:
        loop: Whose loop trains.
        batch_size: Samples an optimizer step.
        micro_batch_size: Samples of one batch of the training loader.
        accumulation_steps: Batches an optimizer step.
        learning_rate: The peak of the first parameter group's rate as its schedule was given it;
            None where the optimizer has none.
        group_learning_rates: The same of each parameter group.
        first_learning_rate: The first group's rate at the first step; None where it has none.
        optimizer_name: The optimizer's class.
        optimizer_count: Optimizers that took steps in turn.
        schedule_name: Class of the learning-rate schedule; empty without one.
        schedule_length: Steps that the schedule was made for; None where it does not say.
        is_scheduled_by_step: Whether it is advanced with each optimizer step, not with each epoch.
        dataset_size: Samples of the training data set; None where it does not say.
        collate_name: What makes a batch of samples; empty for torch's default.
        sampler_name: Class of what orders the samples; empty for a stream.
        loader_workers: Processes of the training loader.
        precision: "fp32", "bf16", "fp16" or "fp64".
        is_compiled: Whether ``torch.compile`` was called.
        loader_place: Where the script begins to read its training loader, such as "train.py:31";
            empty where that is in none of the user's files.
        loader_number: How many other DataLoaders were read before it for the first time.
        where: Where the values are said, likely places first.
    """

    loop: TrainingLoop
    batch_size: int
    micro_batch_size: int
    accumulation_steps: int
    optimizer_name: str
    learning_rate: float | None = None
    group_learning_rates: tuple[float, ...] = ()
    first_learning_rate: float | None = None
    optimizer_count: int = 1
    schedule_name: str = ""
    schedule_length: int | None = None
    is_scheduled_by_step: bool = False
    dataset_size: int | None = None
    collate_name: str = ""
    sampler_name: str = ""
    loader_workers: int = 0
    precision: str = "fp32"
    is_compiled: bool = False
    loader_place: str = ""
    loader_number: int = 0
    where: tuple[Place, ...] = ()

    def place_of(self, quantity: Quantity) -> Place | None:
        """Return where a value is said: a confirmed place, or the only one that there is."""
        places = [place for place in self.where if place.quantity is quantity]
        confirmed = [place for place in places if place.is_confirmed]
        return next(iter(confirmed), places[0] if len(places) == 1 else None)

    def __str__(self) -> str:
        """Return the setting in a line, for its user to check."""
        batch = f"batch {self.micro_batch_size:,}{self._said(Quantity.MICRO_BATCH_SIZE)}"
        if self.accumulation_steps > 1:
            batch += f" x {self.accumulation_steps} accumulated"
            batch += self._said(Quantity.BATCH_SIZE)
        parts = [batch]
        if self.learning_rate is not None:
            parts.append(f"lr {self.learning_rate:g}{self._said(Quantity.LEARNING_RATE)}")
        parts.append(self.optimizer_name)
        if self.schedule_name:
            each = "a step" if self.is_scheduled_by_step else "an epoch"
            parts.append(f"{self.schedule_name} {each}")
        if self.precision != "fp32":
            parts.append(self.precision)
        if self.is_compiled:
            parts.append("compiled")
        if self.dataset_size is not None:
            parts.append(f"{self.dataset_size:,} samples")
        return ", ".join(parts)

    def _said(self, quantity: Quantity) -> str:
        place = self.place_of(quantity)
        if place is None:
            return ""
        return f" ({place})" if place.is_confirmed else f" ({place}, not confirmed)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation(Tagged):
    """What was seen of a script's training.

    Attributes:
        end: Why it ended.
        step_count: Optimizer steps that were seen.
        backward_count: Backward passes that were seen.
        batch_source: Where the samples come from; None where no step was seen.
        has_closure: Whether the optimizer's step was given a closure, by no trainer.
        has_processes: Whether the script starts several training processes, or joins a group of
            them.
        simulator: A library of simulated environments that it imports, such as "gymnasium"; empty
            without one.
        row_count: Rows of the tensors that every step sees; None unless all see the same.
        place: Where it was when the time was over, such as "train.py:12"; empty where that is not
            known.
        reference: The setting; None where that was not seen.
        start_s: Seconds from its start to the end of its first optimizer step; None where none was
            seen, and in logs of older versions.
        optimizer_name: Class of the optimizer that took the most steps; empty where none was seen,
            and in logs of older versions.
    """

    end: ObservationEnd
    step_count: int = 0
    backward_count: int = 0
    batch_source: BatchSource | None = None
    has_closure: bool = False
    has_processes: bool = False
    simulator: str = ""
    row_count: int | None = None
    place: str = ""
    reference: Reference | None = None
    start_s: float | None = None
    optimizer_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptRun(Tagged):
    """What was counted while a script trained as its user starts it.

    Attributes:
        end: Why it ended.
        step_count: Optimizer steps.
        step_times_s: Seconds from the end of one step to the end of the next, with all that the
            script does in between: loading, logging, evaluation. The first few are left out.
        peak_bytes: Reserved bytes on CUDA, of the whole run; live bytes of two steps on a CPU.
            None where nothing could be counted.
        setting: What it was seen to train with; None where that was not seen.
    """

    end: ObservationEnd
    step_count: int
    step_times_s: tuple[float, ...] = ()
    peak_bytes: int | None = None
    setting: Reference | None = None
