"""Published rules of thumb for the batch size, printed for comparison and never as advice.

Their numbers are quoted, not tuned.
"""

from __future__ import annotations

_GOOD_DEFAULT = 32
"""Samples: "B = 32 is a good default value", Bengio, arXiv 1206.5533, section 3.1.1."""

_TRAINING_SET_SHARE = 0.002
"""Share of the training set, by OpenAI's guide to fine-tuning GPT-3."""

_MAX_BY_SHARE = 256
"""Samples: the cap of the same rule."""


def default_batch_size() -> tuple[str, int]:
    """Return the batch that Bengio calls a good default, and the rule."""
    return "a good default (arXiv 1206.5533)", _GOOD_DEFAULT


def largest_power_of_two(largest: int) -> tuple[str, int]:
    """Return the largest power of two that fits, and the rule.

    Args:
        largest: Samples that fit, at least 1.
    """
    return "the largest power of two that fits", 1 << (largest.bit_length() - 1)


def share_of_training_set(dataset_size: int) -> tuple[str, int]:
    """Return about 0.2 % of the training set, at most 256, and the rule.

    Args:
        dataset_size: N, at least 1.
    """
    size = min(max(round(_TRAINING_SET_SHARE * dataset_size), 1), _MAX_BY_SHARE)
    return "0.2 % of the training set, at most 256 (OpenAI's fine-tuning)", size
