"""The question that methods are asked about a workload, and their answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from bsadvise.model.request import AdviceRequest, Source

from benchmarks.regret_bench.recording import Recording
from benchmarks.regret_bench.trainer import Trainer

NO_BUNDLE = "0" * 64
"""Digest of a source that is read in place."""

DEFAULT_BUDGET_S = AdviceRequest(source=Source(digest=NO_BUNDLE, entry_path="model.py")).budget_s


class Setting(NamedTuple):
    """A batch size and a learning rate."""

    batch_size: int
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request for a setting.

    Attributes:
        recording: Gives the modelled time; methods must not use its curves.
        trainer: Trains the workload, with this seed.
        seed: Of weights, sample order and search.
        target_loss: The held-out loss to reach.
        cost_s: Modelled seconds of training that the search may take; None for the default budget.
    """

    recording: Recording
    trainer: Trainer
    seed: int
    target_loss: float
    cost_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A method's answer.

    Attributes:
        setting: The setting; None if it found none.
        cost_s: Modelled seconds of training, including evaluations.
        trial_count: Settings that were trained.
        speedup: Expected speedup of its setting over the reference.
        speedup_interval: 80 % interval of the speedup.
        note: Further remarks.
    """

    setting: Setting | None
    cost_s: float = 0.0
    trial_count: int = 0
    speedup: float | None = None
    speedup_interval: tuple[float, float] | None = None
    note: str = ""


Method = Callable[[Question], Found]
