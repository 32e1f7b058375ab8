"""Runs a few batches to find out what the loss of a batch is of its samples', and what it leaves.

Three parts and their unions are evaluated; ``advisor.worker.loop.batch_semantics`` reads their
losses. One batch is trained on twice with the same random numbers, without an update: what differs
then is state that the first time left. All of it takes about as long as a few training steps.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from time import perf_counter
from typing import Any

import torch
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.task import BatchSemantics
from torch.nn.modules.batchnorm import _BatchNorm

from advisor.worker.commands.memory_growth import BATCHES, memory_growth
from advisor.worker.data.random_state import random_state_kept, seed_everything
from advisor.worker.data.shared_samples import batches_of_samples
from advisor.worker.data.source import DataSource
from advisor.worker.loop.batch_semantics import (
    PAIRS,
    BatchLosses,
    classify,
    is_mean_of_halves,
    is_same,
)
from advisor.worker.loop.compiling import without_compiling
from advisor.worker.loop.exactness import digest_of_weights, in_full_float32, without_dropout
from advisor.worker.loop.observers import StepObserver
from advisor.worker.loop.protocol import Training
from advisor.worker.user.batch_tree import copy_of_batch


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTuning:
    """How many samples are run, and how often.

    Attributes:
        reference_share: Samples of a part over those of the reference batch, above 0. A quarter:
            the seven batches hold twelve parts together, three reference batches.
        default_part_size: Samples of a part where no reference batch is named: a quarter of 32.
        max_part_size: The most samples of a part, at least ``min_part_size``. Of 48 samples in all,
            a class of one in ten is missing once in 150 times.
        min_part_size: The least, at least 2: one sample has no others to depend on, and batch
            normalisation cannot train on it.
        draws: Evaluations of each batch where losses are random, at least 2. Rule of thumb.
        timed_batches: Small batches that are timed to choose a size, at least 1. The fastest
            counts: on a busy machine others take a hundred times as long.
        max_time_share: Share of the command's seconds, above 0, that all of it may take. Rule of
            thumb.
        max_overestimate: Factor, at least 1, by which what small batches predict may be too long:
            where more than that is too long, no more is tried. Rule of thumb.
    """

    reference_share: float = 0.25
    default_part_size: int = 8
    max_part_size: int = 16
    min_part_size: int = 2
    draws: int = 5
    timed_batches: int = 2
    max_time_share: float = 0.2
    max_overestimate: float = 4.0


DEFAULT_PROBE_TUNING = ProbeTuning()

_PART_BATCHES = 24 + BATCHES
"""What is run at most where nothing is random, in parts: 12 evaluated, the others trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What was found.

    Attributes:
        batch_semantics: What the loss of a batch is of its samples'; None where it is not known.
        has_unsaved_state: Whether losses depend on state that no checkpoint holds.
        caveats: What the user should know.
    """

    batch_semantics: BatchSemantics | None = None
    has_unsaved_state: bool = False
    caveats: tuple[Caveat, ...] = ()


def probe_batches(
    training: Training,
    data: DataSource,
    *,
    reference_batch_size: int | None,
    time_limit_s: float,
    tuning: ProbeTuning = DEFAULT_PROBE_TUNING,
) -> Probed:
    """Return what a few batches show, whatever the user's code does with them.

    Args:
        training: A training that is of no further use, in float32 as far as its code allows.
        data: Where samples come from.
        reference_batch_size: The batch that the user trains with, samples.
        time_limit_s: Seconds of the command that this is a part of.
        tuning: How many samples are run, and how often.
    """
    size = _part_size(data, reference_batch_size, tuning)
    if size < tuning.min_part_size:
        return Probed()
    try:
        with (
            random_state_kept(),
            without_compiling(),
            without_dropout(training.model),
            in_full_float32(),
        ):
            batch_of = batches_of_samples(data, 3 * size, training.recipe.seed)
            if batch_of is None:
                return Probed()
            return _Probe(training, batch_of, tuning, time_limit_s).probed(size)
    except _OutOfTimeError:
        return _unknown("trying a few batches would take too much of the budget")
    except Exception as error:  # noqa: BLE001 - the task can be measured without an answer to this
        return _unknown(f"trying batches of up to {3 * size} samples failed: {error}")


class _OutOfTimeError(Exception):
    """The time for it is over."""


class _Probe:
    """Runs batches of one training."""

    def __init__(
        self,
        training: Training,
        batch_of: Callable[[Sequence[int]], Any],
        tuning: ProbeTuning,
        time_limit_s: float,
    ) -> None:
        self._training = training
        self._batch_of = batch_of
        self._tuning = tuning
        self._most_s = tuning.max_time_share * time_limit_s
        self._end_s = perf_counter() + self._most_s

    def probed(self, size: int) -> Probed:
        """Return what batches of at most three parts show; of fewer samples where time is short.

        Raises:
            _OutOfTimeError: It is too short for the fewest.
        """
        predicted_s, least = self._predicted_s(), self._tuning.min_part_size
        while size // 2 >= least and predicted_s * size / least > self._most_s:
            size //= 2
        parts = [range(k * size, (k + 1) * size) for k in range(3)]
        caveats, has_unsaved_state = self._state_between_batches(parts[0])
        losses = self._losses(parts)
        semantics = classify(losses)
        if any(isinstance(module, _BatchNorm) for module in self._training.model.modules()):
            if semantics is BatchSemantics.MEAN:
                semantics = BatchSemantics.BATCH_NORMALISED
        elif (
            semantics is BatchSemantics.MEAN and not caveats and self._is_coupled_in_training(parts)
        ):
            semantics = BatchSemantics.COUPLED
        batch = self._batch_of(parts[0])
        growth = memory_growth(self._training, lambda told: self._trained(batch, observers=told))
        why = "the loss of some small batches is not finite"
        unknown = () if math.isfinite(losses.scale) else _unknown(why).caveats
        return Probed(
            batch_semantics=semantics,
            has_unsaved_state=has_unsaved_state,
            caveats=(*caveats, *growth, *unknown),
        )

    def _predicted_s(self) -> float:
        """Return the seconds that all of it would take with the fewest samples, by a batch of them.

        Raises:
            _OutOfTimeError: They are far too many.
        """
        batch, shortest_s = self._batch_of(range(self._tuning.min_part_size)), math.inf
        for _ in range(self._tuning.timed_batches):
            began_s = perf_counter()
            self._trained(batch)
            shortest_s = min(shortest_s, perf_counter() - began_s)
            if _PART_BATCHES * shortest_s > self._tuning.max_overestimate * self._most_s:
                raise _OutOfTimeError
        return _PART_BATCHES * shortest_s

    def _losses(self, parts: Sequence[Sequence[int]]) -> BatchLosses:
        """Return the losses of the parts and their unions in evaluation."""
        first = self._evaluated(parts[0], 0)
        is_random = not is_same(first, self._evaluated(parts[0], 1))
        draws = range(self._tuning.draws if is_random else 1)
        unions = [[*parts[i], *parts[j]] for i, j in PAIRS]
        batches = [*parts, *unions, [*parts[0], *parts[1], *parts[2]]]
        drawn = [[self._evaluated(batch, draw) for draw in draws] for batch in batches]
        a, b, c, ab, bc, ca, whole = map(fmean, drawn)
        pooled = fmean(map(variance, drawn)) if is_random else 0.0
        return BatchLosses(
            parts=(a, b, c),
            pairs=(ab, bc, ca),
            whole=whole,
            error=(pooled / len(draws)) ** 0.5,
        )

    def _is_coupled_in_training(self, parts: Sequence[Sequence[int]]) -> bool:
        """Return whether training alone couples samples; False where its losses are random."""
        whole, *halves = (
            self._trained(self._drawn(part)) for part in ([*parts[0], *parts[1]], *parts[:2])
        )
        if not is_same(halves[0], self._trained(self._drawn(parts[0], 1), 1)):
            return False
        return not is_mean_of_halves(whole, halves)

    def _state_between_batches(self, part: Sequence[int]) -> tuple[list[Caveat], bool]:
        """Return what training on one batch twice shows: caveats, and whether none saves it."""
        training, batch = self._training, self._batch_of(part)
        weights = digest_of_weights(training.model)
        first = self._trained(batch)
        if not math.isfinite(first):
            return [], False
        has_changed = not torch.equal(weights, digest_of_weights(training.model))
        if is_same(first, self._trained(batch)) and not has_changed:
            return [], False
        state = copy.deepcopy(training.state())
        before = self._trained(batch)
        training.restore(state)
        is_unsaved = not is_same(before, self._trained(batch))
        about = _about_weights if has_changed else _about_state
        return [about(_how_saved(is_unsaved=is_unsaved))], is_unsaved

    def _evaluated(self, members: Sequence[int], draw: int) -> float:
        return float(self._training.evaluate_batch(self._drawn(members, draw)))

    def _drawn(self, members: Sequence[int], draw: int = 0) -> Any:  # noqa: ANN401 - the user's batch
        """Return a batch that is collated anew: what is drawn for it belongs to the draw."""
        self._begin(draw)
        return self._batch_of(members)

    def _trained(
        self,
        batch: Any,  # noqa: ANN401 - the user's batch
        draw: int = 0,
        observers: Sequence[StepObserver] = (),
    ) -> float:
        # A copy: what the loss changes in it would be there the next time.
        own = copy_of_batch(batch)
        self._begin(draw)
        return float(sum(self._training.accumulate(iter([own]), observers=observers)))

    def _begin(self, draw: int) -> None:
        if perf_counter() > self._end_s:
            raise _OutOfTimeError
        seed_everything(draw)


def _about_weights(how_saved: str) -> Caveat:
    return Caveat(
        code=CaveatCode.WEIGHTS_CHANGED_IN_LOSS,
        text="loss_fn changes weights of the model by itself: its losses need not compare from one "
        "training to another, so that batch and rate are to be taken with care and no speedup is "
        f"given. No batch is accumulated, since each micro-batch would change them. {how_saved}",
    )


def _about_state(how_saved: str) -> Caveat:
    return Caveat(
        code=CaveatCode.STATE_BETWEEN_BATCHES,
        text="The same batch has another loss the second time, without an update between: the loss "
        f"depends on the batches before it. {how_saved}",
    )


def _how_saved(*, is_unsaved: bool) -> str:
    if is_unsaved:
        return (
            "No checkpoint holds what it keeps, so that each trial is trained in one piece, in a "
            "process of its own, and so for less time."
        )
    return "Parameters and buffers hold what it keeps, so that trials go on from checkpoints."


def _unknown(reason: str) -> Probed:
    caveat = Caveat(
        code=CaveatCode.BATCH_SEMANTICS_UNKNOWN,
        text=f"The loss was taken to be the mean over the batch, which was not checked: {reason}",
    )
    return Probed(caveats=(caveat,))


def _part_size(data: DataSource, reference: int | None, tuning: ProbeTuning) -> int:
    wanted = int(tuning.reference_share * reference) if reference else tuning.default_part_size
    size = min(max(wanted, tuning.min_part_size), tuning.max_part_size)
    return size if data.dataset_size is None else min(size, data.dataset_size // 3)
