"""What a user asks for: a model file, a device, and the limits within which to advise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from bsadvise.model.horizon import LearningRateSchedule, TrainingLength
from bsadvise.model.values import OpenEnum, Value

MAX_BUNDLE_BYTES = 64 << 20
MAX_BUNDLE_FILES = 10_000
"""The most that a source may be: the client sends no more, and the daemon takes no more."""


class Objective(OpenEnum):
    """What the advice minimises."""

    TIME = "time"
    """Modelled seconds to the target loss."""
    THROUGHPUT = "throughput"
    """Seconds a sample."""
    SAMPLES = "samples"
    """Samples seen until the target loss."""
    MEMORY = "memory"
    """Peak bytes."""
    ENERGY = "energy"
    """Modelled joules to the target loss."""
    COST = "cost"
    """Modelled price of the device-hours to the target loss."""


class Priority(OpenEnum):
    """Which of a principal's recommendations comes first.

    Orders one principal's own queue only; with LOW one steps back behind everybody's other work.
    """

    LOW = "low"
    """When nothing else waits for the device."""
    NORMAL = "normal"
    """In order of creation."""
    HIGH = "high"
    """Before the principal's own other work."""


class EntryKind(OpenEnum):
    """What the entry file is, and so how a training is made of it."""

    MODEL_FILE = "model_file"
    """A file that defines ``build_model`` and the other names of the model-file contract."""
    SCRIPT = "script"
    """A script that trains: run as its user runs it, with its command line."""
    COMMAND = "command"
    """A script whose command line has placeholders: started anew for each setting, whatever trains
    in it or in the Python processes that it starts."""


class PriorScope(OpenEnum):
    """Whose earlier answers about the same task a search may begin from."""

    OFF = "off"
    """Nobody's: equal requests are searched alike, whatever was answered before."""
    PRINCIPAL = "principal"
    """Those that the principal would be given from the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source(Value):
    """The user's code: an uploaded bundle and the file in it that builds the task.

    Attributes:
        digest: Lower-case hex SHA-256 of the bundle's bytes.
        entry_path: Path of the entry file inside the bundle, with forward slashes.
        entry_kind: What the entry file is.
        arguments: Its command line, each argument as one text; a model file takes none.
    """

    digest: str
    entry_path: str
    entry_kind: EntryKind = EntryKind.MODEL_FILE
    arguments: tuple[str, ...] = ()


DEFAULT_BUDGET_S = 60.0
"""Seconds of measurement where nobody said how many."""

MOST_SHARED_BUDGET_S = 86_400.0
"""Seconds that a budget comes to at most that is a share of a training: a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceRequest(Value):
    """One request for advice.

    Attributes:
        source: The user's code.
        device: "auto", "cpu", "cuda:N", a device's UUID, or a name from the catalogue of cards.
        memory_limit_bytes: The most bytes that live tensors may take; None for what is free.
        margin_bytes: Bytes of the limit to leave alone; None for the default.
        world_size: Data-parallel replicas, W, at least 1.
        effective_batch_size: The global batch to keep exactly; None to choose it.
        objective: What to minimise.
        target_loss: The held-out loss to reach; None for where the reference recipe is headed.
        budget_s: Seconds of measurement after which the best answer so far is given.
        max_trials: The most trials to run; 0 for none, None for as many as the budget allows.
        seed: Seed of the weights, of the data order and of the search.
        use_cache: Whether an earlier answer to the same request may be given.
        build_kwargs: Keyword arguments of the user's ``build_model``, as text.
        priority: Its place among what waits for the same device.
        python: Absolute path of the interpreter whose packages the model file needs; None for
            the daemon's own.
        device_hour_price: What an hour of one device costs, at least 0, in whatever currency;
            None where it was not given.
        prior: Whose earlier answers about the same task the search may begin from.
        observe_only: Whether to run a script at its own setting alone, and to answer with what it
            trains with. A model file cannot be observed.
        train_for: How long the model will be trained; None for what the file says, or for no
            length in particular.
        schedule: On which schedule; None for a constant rate.
        model_class: Class of the LightningModule to train, where a script defines several and
            trains none; None for the only one.
        data_paths: What a script finds beside it without its being sent: absolute paths on the
            daemon's machine by paths relative to the bundle's root, which may lie one folder above
            it ("../data").
        budget_share: Of the modelled time of the training that ``train_for`` states, above 0 to 1:
            what measurements may take once steps were timed. ``budget_s`` is then the most that
            this may come to. None for ``budget_s`` alone.
    """

    source: Source
    device: str = "auto"
    memory_limit_bytes: int | None = None
    margin_bytes: int | None = None
    world_size: int = 1
    effective_batch_size: int | None = None
    objective: Objective = Objective.TIME
    target_loss: float | None = None
    budget_s: float = DEFAULT_BUDGET_S
    max_trials: int | None = None
    seed: int = 0
    use_cache: bool = True
    build_kwargs: Mapping[str, str] = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    python: str | None = None
    device_hour_price: float | None = None
    prior: PriorScope = PriorScope.OFF
    observe_only: bool = False
    train_for: TrainingLength | None = None
    schedule: LearningRateSchedule | None = None
    model_class: str | None = None
    data_paths: Mapping[str, str] = field(default_factory=dict)
    budget_share: float | None = None


class AdviceOptions(TypedDict, total=False):
    """What may be asked for, the source aside; the fields of ``AdviceRequest`` say what each is.

    What is left out, or is None, is for the daemon to choose.
    """

    device: str | None
    memory_limit_bytes: int | None
    margin_bytes: int | None
    world_size: int | None
    effective_batch_size: int | None
    objective: Objective | str | None
    target_loss: float | None
    budget_s: float | None
    max_trials: int | None
    seed: int | None
    use_cache: bool | None
    build_kwargs: Mapping[str, str]
    priority: Priority | str | None
    python: str | None
    device_hour_price: float | None
    prior: PriorScope | str | None
    observe_only: bool | None
    train_for: TrainingLength | str | None
    schedule: LearningRateSchedule | str | None
    model_class: str | None
    data_paths: Mapping[str, str]
    budget_share: float | None
