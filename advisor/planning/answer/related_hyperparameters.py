"""What goes with the batch that was chosen, in addition to its learning rate.

Trials and verification run with the weight decay, betas and momentum of the user's file, and
without warm-up. So the advice names those as they are, and what published rules would make of them
for another batch stands apart, as related hyperparameters: known to be rules, and not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bsadvise.model.advice import Companion, Evidence, RuleOfThumb
from bsadvise.model.task import OptimizerFamily

from advisor.estimators.hyperparameter_rules import (
    adam_warmup_steps,
    scale_beta,
    scale_epsilon,
    scale_momentum,
    scale_weight_decay,
    sgd_warmup_steps,
)
from advisor.estimators.rules_of_thumb import (
    default_batch_size,
    largest_power_of_two,
    share_of_training_set,
)
from advisor.estimators.scaling_rules import (
    describe_rule_past_noise,
    scale_learning_rate_past_noise,
)
from advisor.planning.answer.choice import Choice, Chooser
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_batch_size, reference_learning_rate
from advisor.planning.evidence.semantics import (
    is_indivisible,
    is_loss_sum,
    mean_loss_rate,
    own_loss_rate,
)
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.trials.stated_training import StatedTraining
from advisor.planning.tuning.answer import RelatedTuning

_MOST_GROWTH, _MOST_SHARE = 10, 10
"""A batch grows at most tenfold in place of a decay, and to a tenth of the data set (Smith et al.,
arXiv 1711.00489)."""


def related_hyperparameters(
    view: LogView, chooser: Chooser, choice: Choice
) -> tuple[Companion, ...]:
    """Return what the rules say, where that differs notably from what was trained.

    Nothing where the length of the training was stated: one value of each is advised for it, the
    one that was run.
    """
    if view.model(StatedTraining).length is not None:
        return ()
    return tuple(_Rules(view, chooser, choice).notable())


def warmup_steps(view: LogView, choice: Choice, steps_per_epoch: int | None) -> int | None:
    """Return the steps of warm-up: none where trials trained well without, else a rule's.

    Args:
        view: The log so far.
        choice: The setting.
        steps_per_epoch: Of the setting; None for a stream.
    """
    if choice.evidence is Evidence.MEASURED:
        return 0
    optimizer = view.profile.optimizer
    match optimizer.family:
        case OptimizerFamily.SGD if steps_per_epoch is not None:
            rate_ratio = _rate_ratio(view, choice)
            return sgd_warmup_steps(
                rate_ratio, steps_per_epoch, tuning=view.tuning.answer.related.rules
            )
        case OptimizerFamily.ADAM if len(optimizer.betas) > 1 and 0 <= optimizer.betas[1] < 1:
            return adam_warmup_steps(optimizer.betas[1])
        case _:
            return None


def rules_of_thumb(view: LogView) -> tuple[RuleOfThumb, ...]:
    """Return what rules of thumb would have said."""
    dataset_size = view.profile.dataset_size
    fits = view.model(MemoryModel).max_micro_batch_size * view.request.world_size
    largest = min(fits, dataset_size or fits)
    rules = [default_batch_size()]
    if largest:
        rules.append(largest_power_of_two(largest))
    if dataset_size is not None:
        rules.append(share_of_training_set(dataset_size))
    return tuple(RuleOfThumb(rule=rule, effective_batch_size=size) for rule, size in rules)


@dataclass(frozen=True)
class _Rules:
    """The rules, from the reference recipe to the setting that was chosen."""

    view: LogView
    chooser: Chooser
    choice: Choice

    @property
    def tuning(self) -> RelatedTuning:
        """When a rule's value is named."""
        return self.view.tuning.answer.related

    @property
    def ratio(self) -> float:
        """κ."""
        return self.choice.split.effective_batch_size / reference_batch_size(self.view)

    @property
    def rate_ratio(self) -> float:
        """η/η₀, of the mean over the batch."""
        return _rate_ratio(self.view, self.choice)

    def notable(self) -> Iterator[Companion]:
        """Yield what each rule gives, where that differs notably."""
        family = self.view.profile.optimizer.family
        yield from self._learning_rate()
        if family is OptimizerFamily.ADAM:
            yield from self._weight_decay()
            yield from self._betas()
            yield from self._epsilon()
        elif family is OptimizerFamily.SGD:
            yield from self._momentum()
            yield from self._batch_size_at_decay()

    def _learning_rate(self) -> Iterator[Companion]:
        """Yield the rate by the form that holds past the noise scale, where none was measured."""
        noise = self.chooser.batches.noise_scale
        if self.choice.evidence is Evidence.MEASURED or noise is None:
            return
        family = self.view.profile.optimizer.family
        reference, size = reference_batch_size(self.view), self.choice.split.effective_batch_size
        scaled = scale_learning_rate_past_noise(
            family, reference_learning_rate(self.view), reference, size, noise.value
        )
        rate = own_loss_rate(self.view, scaled, size, reference)
        rule = describe_rule_past_noise(family)
        yield from self._if_notable("learning_rate", rate, self.choice.learning_rate, rule)

    def _weight_decay(self) -> Iterator[Companion]:
        """Yield AdamW's; Adam's own adds to the gradient, for which there is no such rule."""
        optimizer = self.view.profile.optimizer
        decay = optimizer.weight_decay
        if "adamw" in optimizer.optimizer_name.lower() and decay is not None and decay > 0:
            scaled = scale_weight_decay(decay, self.ratio, self.rate_ratio)
            rule = "keeps the reference's time scale in epochs (AdamW, arXiv 2405.13698)"
            yield from self._if_notable("weight_decay", scaled, decay, rule)

    def _betas(self) -> Iterator[Companion]:
        """Yield β₂, and β₁ for a larger batch: for a smaller one it was found best left alone."""
        if self.ratio > 1:
            rule = "shorter averaging window, scaled to the batch (Adam, arXiv 2205.10287)"
        else:
            rule = "keeps its half-life in samples (Adam, arXiv 2507.07101)"
        for number, beta in enumerate(self.view.profile.optimizer.betas[:2], start=1):
            if 0 < beta < 1 and (number == 2 or self.ratio > 1):
                scaled = scale_beta(beta, self.ratio)
                yield from self._if_mean_is_notable(f"beta{number}", scaled, beta, rule)

    def _epsilon(self) -> Iterator[Companion]:
        epsilon = self.view.profile.optimizer.epsilon
        if epsilon is not None and epsilon >= self.tuning.min_epsilon:
            scaled = scale_epsilon(epsilon, self.ratio)
            rule = "falls with the root of the batch (Adam, arXiv 2205.10287)"
            yield from self._if_notable("epsilon", scaled, epsilon, rule)

    def _momentum(self) -> Iterator[Companion]:
        """Yield the momentum for a batch that grew by more than its rate.

        Not where trials chose the rate: they found the noise of its steps to be right.
        """
        momentum = self.view.profile.optimizer.momentum
        lags = self.choice.evidence is Evidence.RULE and self.rate_ratio < self.ratio
        if lags and momentum is not None and 0 < momentum < 1:
            scaled = scale_momentum(momentum, self.ratio, self.rate_ratio, tuning=self.tuning.rules)
            rule = "keeps the noise of the reference's steps (SGD, arXiv 1711.00489)"
            yield from self._if_mean_is_notable("momentum", scaled, momentum, rule)

    def _batch_size_at_decay(self) -> Iterator[Companion]:
        """Yield how far the batch may grow in place of decays of the rate, where that pays."""
        split, dataset_size = self.choice.split, self.view.profile.dataset_size
        is_fixed = self.view.request.effective_batch_size is not None
        # A sum grows with the batch, which would undo the decay; a coupled loss would be another.
        is_fixed |= is_loss_sum(self.view) or is_indivisible(self.view)
        if is_fixed or dataset_size is None or self.view.step_times is None:
            return
        size, cost = split.effective_batch_size, self.chooser.search.cost
        most = dataset_size // _MOST_SHARE // size
        grown = cost.split(min(_MOST_GROWTH, most) * size) if most > 1 else None
        if grown is None:
            return
        growth = grown.effective_batch_size / size
        least_gain = self.tuning.min_throughput_gain
        if growth * cost.step_time_s(split) >= least_gain * cost.step_time_s(grown):
            rule = (
                "instead of dividing the rate by s, multiply the batch by s, up to this tenth of "
                "the data; then decay the rate (SGD, arXiv 1711.00489)"
            )
            yield Companion(
                name="batch_size_at_decay", value=most * size, trained_value=size, rule=rule
            )

    def _if_notable(
        self, name: str, value: float, trained: float, rule: str
    ) -> Iterator[Companion]:
        if self._differ(value, trained):
            yield Companion(name=name, value=_rounded(value), trained_value=trained, rule=rule)

    def _if_mean_is_notable(
        self, name: str, value: float, trained: float, rule: str
    ) -> Iterator[Companion]:
        """Yield a running mean's coefficient: what matters is what it forgets a step."""
        if self._differ(1 - value, 1 - trained):
            rounded = round(1 - _rounded(1 - value), 12)
            yield Companion(name=name, value=rounded, trained_value=trained, rule=rule)

    def _differ(self, value: float, trained: float) -> bool:
        return max(value, trained) > self.tuning.min_factor * min(value, trained)


def _rate_ratio(view: LogView, choice: Choice) -> float:
    """Return the chosen rate over the reference's, both of the mean over their batch."""
    ours = mean_loss_rate(view, choice.learning_rate, choice.split.effective_batch_size)
    reference = reference_batch_size(view)
    return ours / mean_loss_rate(view, reference_learning_rate(view), reference)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
