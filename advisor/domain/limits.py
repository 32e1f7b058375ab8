"""How much each message and each field of it may hold, of all that strangers send the daemon.

Strangers are the callers of the public API and the workers, which run their code. The checks of
``domain.validation`` say what makes sense; these limits say what is of a size that can be worked
with, so that whatever passes them is read, planned with, kept and shown in a known time. They
hold for what comes in, not for what was kept: rows of older releases are read as they are.

The table is by the name of a message and of its field. A field without an entry is a message with
entries of its own, an enum or a truth value. ``docs/limits.md`` explains the numbers, and a test
holds that no field is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bsadvise.model.request import MAX_BUNDLE_BYTES, MAX_BUNDLE_FILES


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A finite number from ``low`` to ``high``.

    Attributes:
        low: The least.
        high: The most.
        is_above: Whether ``low`` itself is too little.
    """

    low: float
    high: float
    is_above: bool = False

    def complaint(self, value: float) -> str | None:
        """Return what is wrong with a value, to follow its name; None when nothing is."""
        if self.holds(value):
            return None
        if value > self.high:
            return f"must be at most {_shown(self.high)}, not {value}"
        least = "greater than" if self.is_above else "at least"
        return f"must be {least} {_shown(self.low)}, not {value}"

    def holds(self, value: float) -> bool:
        """Return whether a value is in range; NaN is not."""
        return (value > self.low if self.is_above else value >= self.low) and value <= self.high

    def __str__(self) -> str:
        """Return the range in words: ``from 1 to 4096``."""
        return f"{'above' if self.is_above else 'from'} {_shown(self.low)} to {_shown(self.high)}"


def _shown(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


@dataclass(frozen=True, slots=True)
class Text:
    """A text of at most so many characters."""

    most: int


@dataclass(frozen=True, slots=True)
class Binary:
    """At most so many bytes."""

    most: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list, or a map, of at most so many items.

    Attributes:
        most: How many.
        each: The limit of each, of a map of each value; None where they are messages.
        key: The limit of each key of a map.
    """

    most: int
    each: Number | Text | None = None
    key: Text | None = None


Limit = Number | Text | Binary | Items

_KIB, _MIB = 1 << 10, 1 << 20

MOST_BYTES = 1 << 60
"""Of memory; more than any machine has."""
MOST_BATCH_SIZE = (1 << 31) - 1
"""Samples of a batch; more than any training has had."""

BYTES = Number(low=0, high=MOST_BYTES)
"""An amount of memory."""
_SOME_BYTES = Number(low=1, high=MOST_BYTES)
SECONDS = Number(low=0, high=1e7)
"""Seconds that something measured took; more than any measurement takes."""
POSITIVE_SECONDS = Number(low=1e-9, high=1e7)
"""The same where the clock must have moved: one tick of a clock in nanoseconds at least."""
COUNT = Number(low=0, high=1 << 50)
"""How many parameters or samples there are; more than any task has."""
BATCH_SIZE = Number(low=1, high=MOST_BATCH_SIZE)
"""Samples of a batch."""
DATASET_SIZE = Number(low=1, high=1 << 36)
"""Samples of a data set whose order is drawn: their indices alone take 8 bytes each."""
LEARNING_RATE = Number(low=1e-12, high=1e6)
"""A learning rate: room for what any rule makes of it to stay a number."""
_ANY_RATE = Number(low=0, high=LEARNING_RATE.high)
"""What a schedule makes of one, or of a parameter group that is not trained."""
OPTIMIZER_SETTING = Number(low=-1e6, high=1e6)
"""Any other setting of an optimizer."""
LOSS = Number(low=-1e39, high=1e39)
"""A loss: all that a 32-bit float holds."""
NORM = Number(low=0, high=1e50)
"""A norm of gradients, or its square."""
PROCESSES = Number(low=0, high=4096)
"""Processes of a data loader."""
WORLD_SIZE = Number(low=1, high=1 << 17)
"""Data-parallel replicas; more than any training has had."""
SEED = Number(low=0, high=(1 << 32) - 1)
"""A seed that Python, NumPy and PyTorch all take."""
BUDGET_SECONDS = Number(low=0, high=366 * 86_400.0, is_above=True)
"""Seconds of measurement that may be asked for: a year."""
TRAINING_LENGTH = Number(low=0, high=1e15, is_above=True)
"""Epochs, steps, samples or seconds of a training; more than any has had."""
_SHARE = Number(low=0, high=1)
_ANY_INT64 = Number(low=-(1 << 63), high=(1 << 63) - 1)

MOST_FIGURES = 10_000
"""Figures of one kind in an answer: a worker keeps no more of them."""
MOST_CAVEATS = 64
"""Caveats of an answer: each of a search's traces may bring some."""
MOST_PLACES = 16
"""Places in the user's code that may say a value."""
MOST_LOSSES = 64
"""Means over a training that are kept of its losses."""

_ID, _LINE, _PARAGRAPH, _TEXT = Text(128), Text(1_000), Text(2_000), Text(8_192)

FIELDS: Mapping[str, Mapping[str, Limit]] = {
    # What callers ask for.
    "Source": {"digest": Text(64), "entry_path": Text(1_024), "arguments": Items(256, Text(4_096))},
    "AdviceRequest": {
        "device": _ID,
        "memory_limit_bytes": Number(low=0, high=MOST_BYTES, is_above=True),
        "margin_bytes": BYTES,
        "world_size": WORLD_SIZE,
        "effective_batch_size": BATCH_SIZE,
        "target_loss": LOSS,
        "budget_s": BUDGET_SECONDS,
        "max_trials": Number(low=0, high=(1 << 31) - 1),
        "seed": SEED,
        "build_kwargs": Items(256, _TEXT, key=_ID),
        "python": Text(4_096),
        "device_hour_price": Number(low=0, high=1e9),
        "model_class": Text(200),
        "data_paths": Items(64, Text(4_096), key=Text(1_024)),
        "budget_share": Number(low=0, high=1, is_above=True),
    },
    "TrainingLength": {"amount": TRAINING_LENGTH},
    "LearningRateSchedule": {
        "final_share": _SHARE,
        "decay_share": _SHARE,
        "warmup_share": _SHARE,
        "warmup_steps": COUNT,
    },
    "CreateRecommendationRequest": {"request_id": Text(1_024)},
    "GetRecommendationRequest": {"recommendation_id": Text(1_024)},
    "ListRecommendationsRequest": {"page_size": _ANY_INT64, "page_token": Text(1_024)},
    "CancelRecommendationRequest": {"recommendation_id": Text(1_024)},
    "DeleteRecommendationRequest": {"recommendation_id": Text(1_024)},
    "WatchRecommendationRequest": {
        "recommendation_id": Text(1_024),
        "after_sequence": _ANY_INT64,
    },
    "ListMeasurementsRequest": {"recommendation_id": Text(1_024)},
    "ExplainRecommendationRequest": {"recommendation_id": Text(1_024)},
    "CheckSourceRequest": {"digest": Text(1_024)},
    "UploadSourceRequest": {"digest": Text(1_024), "chunk": Binary(_MIB)},
    "SourceBundle": {"files": Items(MAX_BUNDLE_FILES)},
    "SourceFile": {"path": Text(1_024), "content": Binary(MAX_BUNDLE_BYTES)},
    "CreateTokenRequest": {"principal": Text(1_024), "life_s": Number(low=-1e300, high=1e300)},
    "RevokeTokenRequest": {"token_id": Text(1_024)},
    # What workers answer.
    "EnteringHook": {"hook": _LINE},
    "NumberedOutcome": {"command_id": _ANY_INT64},
    "Caveat": {"code": _ID, "text": _LINE},
    "OptimizerProfile": {
        "optimizer_name": Text(200),
        "default_learning_rate": LEARNING_RATE,
        "weight_decay": OPTIMIZER_SETTING,
        "momentum": OPTIMIZER_SETTING,
        "betas": Items(8, OPTIMIZER_SETTING),
        "epsilon": OPTIMIZER_SETTING,
    },
    "TaskProfile": {
        "model_name": Text(200),
        "parameter_count": COUNT,
        "trainable_parameter_count": COUNT,
        "parameter_bytes": BYTES,
        "buffer_bytes": BYTES,
        "batch_norm_layer_count": COUNT,
        "dataset_size": DATASET_SIZE,
        "evaluation_size": COUNT,
        "sample_shapes": _PARAGRAPH,
        "longest_sample": COUNT,
        "peak_sample": COUNT,
        "precision": Text(16),
        "num_workers": PROCESSES,
        "reference_batch_size": BATCH_SIZE,
        "reference_learning_rate": LEARNING_RATE,
        "device_free_bytes": BYTES,
        "caveats": Items(32, _LINE),
        "repeated_block_count": COUNT,
        "cpu_count": Number(low=1, high=1 << 20),
        "coded_caveats": Items(32),
    },
    "Place": {"name": Text(200), "file": Text(1_024), "line": Number(low=1, high=1 << 31)},
    "Reference": {
        "batch_size": BATCH_SIZE,
        "micro_batch_size": BATCH_SIZE,
        "accumulation_steps": BATCH_SIZE,
        "optimizer_name": Text(200),
        "learning_rate": LEARNING_RATE,
        "group_learning_rates": Items(1_024, _ANY_RATE),
        "first_learning_rate": _ANY_RATE,
        "optimizer_count": Number(low=1, high=1 << 20),
        "schedule_name": Text(200),
        "schedule_length": COUNT,
        "dataset_size": DATASET_SIZE,
        "collate_name": Text(200),
        "sampler_name": Text(200),
        "loader_workers": PROCESSES,
        "precision": Text(16),
        "loader_place": Text(1_100),
        "loader_number": COUNT,
        "where": Items(MOST_PLACES),
    },
    "Observation": {
        "step_count": COUNT,
        "backward_count": COUNT,
        "simulator": _ID,
        "row_count": COUNT,
        "place": Text(1_100),
        "start_s": SECONDS,
        "optimizer_name": Text(200),
    },
    "ScriptRun": {
        "step_count": COUNT,
        "step_times_s": Items(MOST_FIGURES, POSITIVE_SECONDS),
        "peak_bytes": _SOME_BYTES,
    },
    "MemoryParts": {
        "parameter_bytes": BYTES,
        "buffer_bytes": BYTES,
        "gradient_bytes": BYTES,
        "optimizer_state_bytes": BYTES,
        "activation_bytes": BYTES,
        "temporary_bytes": BYTES,
        "input_bytes": BYTES,
    },
    "MemoryTrace": {
        "peak_bytes": _SOME_BYTES,
        "evaluation_peak_bytes": BYTES,
        "caveats": Items(32, _LINE),
        "reserved_bytes": _SOME_BYTES,
        "coded_caveats": Items(32),
    },
    "StepRun": {"peak_bytes": _SOME_BYTES},
    "StepTimes": {
        "step_times_s": Items(MOST_FIGURES, POSITIVE_SECONDS),
        "optimizer_times_s": Items(MOST_FIGURES, SECONDS),
        "processor_wait_s": SECONDS,
    },
    "LoaderTimes": {
        "batch_size": BATCH_SIZE,
        "batch_times_s": Items(MOST_FIGURES, POSITIVE_SECONDS),
        "processor_time_per_batch_s": SECONDS,
        "processor_wait_per_batch_s": SECONDS,
    },
    "GradientNorms": {
        "small_batch_size": BATCH_SIZE,
        "big_batch_size": COUNT,
        "small_squared_norms": Items(MOST_FIGURES, NORM),
        "big_squared_norms": Items(MOST_FIGURES, NORM),
        "raw_norms": Items(MOST_FIGURES, NORM),
    },
    "TrainRun": {
        "step_count": Number(low=1, high=COUNT.high),
        "sample_count": _ANY_INT64,
        "train_losses": Items(MOST_LOSSES, LOSS),
        "held_out_loss": LOSS,
        "earlier_losses": Items(MOST_FIGURES, LOSS),
    },
    "Evaluation": {"held_out_loss": LOSS, "evaluation_s": SECONDS},
    "Verification": {
        "step_count": COUNT,
        "peak_bytes": _SOME_BYTES,
        "step_times_s": Items(MOST_FIGURES, POSITIVE_SECONDS),
        "final_loss": LOSS,
        "not_finite_step": Number(low=1, high=COUNT.high),
    },
    "RangeRun": {
        "learning_rates": Items(MOST_FIGURES, Number(low=0, high=1e12, is_above=True)),
        "train_losses": Items(MOST_FIGURES, LOSS),
    },
    "LogEstimate": {
        "median": Number(low=1e-30, high=1e30),
        "log_deviation": Number(low=1e-3, high=1e3),
    },
    "Prior": {"answer_count": COUNT},
    "OutOfMemory": {"message": _TEXT},
    "Fault": {
        "message": _TEXT,
        "hook": _LINE,
        "file": Text(1_024),
        "line": Number(low=0, high=1 << 31),
        "fix": _PARAGRAPH,
        "traceback": _TEXT,
        "output": _TEXT,
    },
    "TimedOut": {
        "limit_s": SECONDS,
        "hook": _LINE,
        "file": Text(1_024),
        "line": Number(low=0, high=1 << 31),
        "traceback": _TEXT,
    },
    # What the fork server says.
    "Forked": {
        "worker_id": _ANY_INT64,
        "pid": Number(low=1, high=1 << 22),
        "scratch_dir": Text(4_096),
        "first_pid": Number(low=0, high=1 << 22),
    },
    "Exited": {"worker_id": _ANY_INT64, "exit_code": _ANY_INT64, "scratch_left": _TEXT},
}
"""By message and field, what it may hold."""

MESSAGE_BYTES: Mapping[str, int] = {
    "CreateRecommendationRequest": 64 * _KIB,
    "EstimateMemoryRequest": 64 * _KIB,
    "UploadSourceRequest": _MIB + 4 * _KIB,
    "SourceBundle": MAX_BUNDLE_BYTES,
    "FromWorker": 512 * _KIB,
    "FromForkServer": 64 * _KIB,
    "ToWorker": 4 * _MIB,
    "ForkRequest": _KIB,
}
"""By message that stands alone, the bytes that it may have; looked at before it is parsed."""

_OTHER_MESSAGE_BYTES = 8 * _KIB
"""Of the requests that name a thing and no more."""

MOST_LOG_ENTRIES = 2_000
"""Measurements of one recommendation: a planner's call takes a time linear in them."""

MOST_LOG_BYTES = 16 * _MIB
"""Of them together, as they are kept, with the answer so far that each brings."""

MOST_PAGE_BYTES = 4 * _MIB
"""Of the rows that one read of a list or of events takes into memory: what is left comes with the
next."""


def most_bytes(message_name: str) -> int:
    """Return the bytes that a message which stands alone may have."""
    return MESSAGE_BYTES.get(message_name, _OTHER_MESSAGE_BYTES)
