"""What a method is asked for a workload, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from bsadvise.model.request import AdviceRequest, Source

from benchmarks.regret_bench.recording import Recording
from benchmarks.regret_bench.trainer import Trainer

NO_BUNDLE = "0" * 64
"""The digest of a source that is read where it lies."""

DEFAULT_BUDGET_S = AdviceRequest(source=Source(digest=NO_BUNDLE, entry_path="model.py")).budget_s


class Setting(NamedTuple):
    """A batch size and a learning rate."""

    batch_size: int
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked.

    Attributes:
        recording: The workload's clock; its curves are not for methods to look at.
        trainer: Trains the workload with the seed.
        seed: Of the weights, of the order of the samples and of the search.
        target_loss: The held-out loss to reach.
        cost_s: Modelled seconds of training that the search may take; None for the budget that
            a user gets who asks for none.
    """

    recording: Recording
    trainer: Trainer
    seed: int
    target_loss: float
    cost_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a method answers.

    Attributes:
        setting: The setting; None where it came to none.
        cost_s: Modelled seconds of training, looks at the held-out loss included.
        trial_count: Settings that were trained.
        speedup: How many times as fast as the reference it says that its setting is.
        speedup_interval: Where it says that this lies with 80 %.
        note: What else should be known.
    """

    setting: Setting | None
    cost_s: float = 0.0
    trial_count: int = 0
    speedup: float | None = None
    speedup_interval: tuple[float, float] | None = None
    note: str = ""


Method = Callable[[Question], Found]
