"""Tuned numbers of the training data: its order, its loading and the length of an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

from advisor.estimators.data_order import DataOrderTuning


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTuning:
    """When an epoch's last, partial micro-batch should be left out.

    Attributes:
        max_partial_share: Share of a step's samples, from 0 to 1, below which a partial step weighs
            its samples too much. Rule of thumb, not tuned.
        max_steps: Steps of an epoch, at least 0, up to which one such step is felt. Rule of thumb,
            not tuned.
    """

    max_partial_share: float = 0.25
    max_steps: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingTuning:
    """When training waits for its data loader, and how many processes would help.

    Attributes:
        bottleneck_factor: Factor, at least 1, on a step's time without loading from which on the
            loader is a bottleneck, and by which more processes must help. Rule of thumb, not tuned.
        handover_s: Seconds, at least 0, that the training loop itself spends to receive one batch
            from another process. Rule of thumb, not tuned.
        max_workers: The most processes that are advised, at least 1. Rule of thumb, not tuned.
        max_trial_share: Share of the budget, from 0 to 1, that a number of processes may be tried
            for; of a slower loader smaller batches are timed. Rule of thumb, not tuned.
    """

    bottleneck_factor: float = 1.2
    handover_s: float = 5e-4
    max_workers: int = 32
    max_trial_share: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what no loader can be.

        Raises:
            ValueError: A field is out of range.
        """
        if self.max_workers < 1:
            raise ValueError("max_workers must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTuning:
    """The comparison of the stored order with shuffled ones: how large, and what it may cost.

    Attributes:
        batch_count: Batches of one order, at least 3. Rule of thumb; with as many,
            tests/estimators/test_data_order.py holds the test to its rate of false alarms.
        shuffle_count: Shuffled orders, at least 1. Likewise.
        max_batch_size: Samples of a batch, at least 2: more neighbours would show the same at a
            higher cost. Rule of thumb, not tuned.
        min_batch_size: Samples of a batch, at least 2: fewer neighbours, even all alike, would
            hardly differ from chance. Rule of thumb, not tuned.
        max_s: Seconds, at least 0, that the comparison may be expected to take. Rule of thumb, not
            tuned.
        max_budget_share: The same as a share of the budget, from 0 to 1; the lesser counts. Rule of
            thumb, not tuned.
        least_size_budget_share: The same for batches of ``min_batch_size``, where none is so cheap:
            at 20 s a busy machine takes more than 2 % to build the model, and an unnoticed order
            costs a user more. Overlapping windows show at this size as well: all of 24 models
            that were tried, at p below 2e-4.
        least_size_min_budget_s: Seconds of a budget, at least 0, from which on that share is spent:
            of less, the reference alone needs all. Rule of thumb, not tuned.
        latest_share: Share of the budget, from 0 to 1, after which none is begun; the loading of
            the task, which a busy machine makes long, is not counted. Rule of thumb, not tuned.
        max_read_factor: The most samples of a stream that are read, in multiples of those that are
            compared; at least 1. Rule of thumb, not tuned.
        effect: When an order counts as unrepresentative.
    """

    batch_count: int = 16
    shuffle_count: int = 2
    max_batch_size: int = 32
    min_batch_size: int = 8
    max_s: float = 1.0
    max_budget_share: float = 0.02
    least_size_budget_share: float = 0.05
    least_size_min_budget_s: float = 10.0
    latest_share: float = 0.5
    max_read_factor: int = 64
    effect: DataOrderTuning = field(default_factory=DataOrderTuning)

    def __post_init__(self) -> None:
        """Refuse a comparison without degrees of freedom.

        Raises:
            ValueError: A field is out of range.
        """
        if self.batch_count < 3 or self.shuffle_count < 1:
            raise ValueError("batch_count must be at least 3, and shuffle_count at least 1")
        if not 2 <= self.min_batch_size <= self.max_batch_size:
            raise ValueError("batch sizes must be at least 2, and the least no more than the most")
        if self.max_read_factor < 1:
            raise ValueError("max_read_factor must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTuning:
    """Tuned numbers of ``advisor.planning.data``.

    Attributes:
        epoch: When an epoch's last micro-batch is left out.
        loading: When the data loader is a bottleneck.
        order: How the stored order is compared with shuffled ones.
    """

    epoch: EpochTuning = field(default_factory=EpochTuning)
    loading: LoadingTuning = field(default_factory=LoadingTuning)
    order: OrderTuning = field(default_factory=OrderTuning)
