"""Settings without trials: the file's recipe, and its rate scaled to a fast batch size."""

from __future__ import annotations

from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.target import reference_setting
from benchmarks.trainings_bench.question import Answer, Question

_NEARLY = 1.1


def recipe(question: Question) -> Answer:
    """Return the recipe of the file."""
    return Answer(setting=reference_setting(question.times))


def square_root(question: Question) -> Answer:
    """Return the fast batch at a rate scaled with its square root."""
    return _scaled(question, 0.5)


def linear(question: Question) -> Answer:
    """Return the fast batch at a rate scaled in proportion to it."""
    return _scaled(question, 1.0)


def _scaled(question: Question, exponent: float) -> Answer:
    """Return the least batch whose samples are nearly as fast as any, its rate by a power."""
    times = question.times
    samples_s = {size: times.step_time_s(size) / size for size in times.step_times_s}
    enough_s = _NEARLY * min(samples_s.values())
    size = min(size for size, sample_s in samples_s.items() if sample_s <= enough_s)
    reference = reference_setting(times)
    rate = reference.learning_rate * (size / reference.batch_size) ** exponent
    return Answer(setting=Setting(size, float(f"{rate:.4g}")))
