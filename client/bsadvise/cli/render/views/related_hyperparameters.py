"""Related hyperparameters and rules of thumb by published rules, as rows."""

from __future__ import annotations

from bsadvise.model.advice import Advice, RuleOfThumb


def related_hyperparameter_rows(advice: Advice) -> list[tuple[str, str]]:
    """Return what should go with the batch by the rules, for a person."""
    return [
        (one.name, f"{one.value:.6g} (trained with {one.trained_value:.6g}): {one.rule}")
        for one in advice.companions
    ]


def rule_of_thumb_rows(advice: Advice) -> list[tuple[str, str]]:
    """Return what rules of thumb would have said, for a person."""
    return [
        (f"{one.effective_batch_size:,}", f"{one.rule}{_limited_by_data(advice, one)}")
        for one in advice.rules_of_thumb
    ]


def _limited_by_data(advice: Advice, rule: RuleOfThumb) -> str:
    """Return that the data set, and not memory, is what twice the batch would not fit into."""
    size, most = advice.dataset_size, advice.max_micro_batch_size * advice.world_size
    twice = 2 * rule.effective_batch_size
    if size is None or not rule.effective_batch_size <= size < twice <= most:
        return ""
    return f", and into the data set of {size:,}"


def gradient_norm_words(advice: Advice) -> str | None:
    """Return what the gradients' norms were like and where to clip; None when not measured."""
    norms, clip = advice.gradient_norm, advice.clip_gradient_norm
    if norms is None:
        return None
    words = (
        f"norm {norms.median:.3g} (median), {norms.percentile_90:.3g} (90th percentile) "
        f"at batch {norms.effective_batch_size:,}"
    )
    return words if clip is None else f"{words}; if you clip, at {clip:.3g}"
