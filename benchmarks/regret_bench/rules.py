"""Settings without a search: a common default, the file's recipe, a rule of thumb."""

from __future__ import annotations

from benchmarks.regret_bench.found import Found, Question, Setting
from benchmarks.regret_bench.target import reference_setting

_HABIT = Setting(32, 1e-3)

_SHARE = 0.002
_LARGEST = 256


def habit(question: Question) -> Found:  # noqa: ARG001 - the same for every question
    """Return batch 32 at 1e-3."""
    return Found(setting=_HABIT)


def reference(question: Question) -> Found:
    """Return the recipe of the file."""
    return Found(setting=reference_setting(question.recording))


def share_of_data(question: Question) -> Found:
    """Return 0.2 % of the training set, at most 256, at the recipe's rate."""
    batch_size = round(_SHARE * question.recording.dataset_size)
    rate = question.recording.reference_learning_rate
    return Found(setting=Setting(min(max(batch_size, 1), _LARGEST), rate))
