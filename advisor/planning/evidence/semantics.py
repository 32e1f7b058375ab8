"""What follows from what the loss of a batch is of the losses of its samples.

Where inspection did not find it out, and in logs of older versions, it counts as the mean.

    symbol  meaning
    η       learning rate of the user's own loss
    η̄       learning rate at which the mean over the batch takes the same steps
    B       effective batch size, samples

The gradient of a sum is B times that of the mean. Steps of SGD are proportional to it, so that
η̄ = B·η; those of Adam and its kin do not depend on its length, so that η̄ = η.
"""

from __future__ import annotations

from bsadvise.model.caveats import CaveatCode
from bsadvise.model.task import BatchSemantics, OptimizerFamily

from advisor.estimators.scaling_rules import describe_rule, scale_learning_rate
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.reference import reference_batch_size


def is_loss_sum(view: LogView) -> bool:
    """Return whether the loss of a batch is the sum over its samples."""
    return view.profile.batch_semantics is BatchSemantics.SUM


def is_indivisible(view: LogView) -> bool:
    """Return whether a batch in micro-batches would be trained on otherwise than as a whole.

    So it is where samples are coupled, and where ``loss_fn`` takes steps of its own. Batch
    normalisation is not meant: there a batch that does not fit is accumulated.
    """
    is_coupled = view.profile.batch_semantics is BatchSemantics.COUPLED
    return is_coupled or changes_weights(view)


def changes_weights(view: LogView) -> bool:
    """Return whether ``loss_fn`` takes steps of its own, so that its loss measures no progress."""
    codes = (caveat.code for caveat in view.profile.caveats)
    return CaveatCode.WEIGHTS_CHANGED_IN_LOSS in codes


def training_losses_compare(view: LogView) -> bool:
    """Return whether training losses of unlike batch sizes compare.

    What a coupled loss comes to depends on the size of the batch itself, and that of a weighted
    mean too where batches are small: in a batch of one, class weights cancel.
    """
    unlike = (BatchSemantics.COUPLED, BatchSemantics.WEIGHTED_MEAN)
    return view.profile.batch_semantics not in unlike


def mean_loss_rate(view: LogView, learning_rate: float, batch_size: int) -> float:
    """Return η̄ of a rate and a batch."""
    return learning_rate * _gradient_factor(view, batch_size)


def scaled_rate(view: LogView, reference_rate: float, batch_size: int) -> float:
    """Return the η that the rule gives for a batch, from a rate at the reference's.

    Args:
        view: Of the log.
        reference_rate: η₀ at the reference batch.
        batch_size: B.
    """
    reference = reference_batch_size(view)
    scaled = scale_learning_rate(
        view.profile.optimizer.family, reference_rate, batch_size / reference
    )
    return own_loss_rate(view, scaled, batch_size, reference)


def own_loss_rate(view: LogView, scaled: float, batch_size: int, reference: int) -> float:
    """Return η of a rate that a rule for means has carried from one batch to another."""
    return scaled * _gradient_factor(view, reference) / _gradient_factor(view, batch_size)


def rule_in_words(view: LogView) -> str:
    """Return the learning-rate rule in words, with its source."""
    rule = describe_rule(view.profile.optimizer.family)
    if _gradient_factor(view, 2) > 1:
        return f"{rule}, for the mean: as it is for the sum, whose gradient grows with the batch"
    return rule


def _gradient_factor(view: LogView, batch_size: int) -> int:
    is_sgd = view.profile.optimizer.family is OptimizerFamily.SGD
    return batch_size if is_sgd and is_loss_sum(view) else 1
