"""The methods that are compared."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.memory_bench.tools import in_fresh_process
from benchmarks.regret_bench.found import Setting
from benchmarks.trainings_bench import ours, rules, sampling
from benchmarks.trainings_bench.question import Answer, Method, Question

OURS = "bsadvise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A method.

    Attributes:
        title: Name in tables.
        find: The search.
        shares: Seconds that it may take, over those of the training; None where that is its own.
        is_repeatable: Whether its answer is independent of what else the machine does; others are
            asked only by name.
    """

    title: str
    find: Method
    shares: tuple[float | None, ...] = (None,)
    is_repeatable: bool = True


def _lightning(question: Question) -> Answer:
    from benchmarks.regret_bench import lightning_tuner  # noqa: PLC0415 - optional

    times = question.times
    tuned = in_fresh_process(lightning_tuner.tune, question.workload.name, question.case.seed)
    cost_s = sum(count * times.step_time_s(size) for size, count in tuned.step_counts.items())
    if tuned.learning_rate is None:
        return Answer(setting=None, cost_s=cost_s, note="no suggestion")
    # A batch cannot be larger than the data set.
    size = min(tuned.batch_size, times.dataset_size)
    return Answer(setting=Setting(size, tuned.learning_rate), cost_s=cost_s)


METHODS: dict[str, Entry] = {
    OURS: Entry(title="bsadvise", find=ours.advise, shares=(0.05, 0.2)),
    "without_length": Entry(
        title="bsadvise, length not stated", find=ours.advise_without_length, shares=(0.05, 0.2)
    ),
    "daemon": Entry(
        title="bsadvise, by the clock", find=ours.ask_daemon, shares=(0.2,), is_repeatable=False
    ),
    "recipe": Entry(title="the file's recipe", find=rules.recipe),
    "square_root": Entry(title="fast batch, square-root rule", find=rules.square_root),
    "linear": Entry(title="fast batch, linear rule", find=rules.linear),
    "optuna": Entry(title="plain Optuna", find=sampling.plain_optuna, shares=(0.05, 0.2, 1.0)),
    "lightning": Entry(title="Lightning's Tuner", find=_lightning),
}
