"""The methods that are compared."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.memory_bench.tools import in_fresh_process
from benchmarks.regret_bench import ours, rules, sampling
from benchmarks.regret_bench.found import Found, Method, Question, Setting

OURS = "bsadvise"
REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A method.

    Attributes:
        title: Name in tables.
        find: The search.
        knows_target: Whether it uses the target loss.
        has_frontier: Whether the time that it may search can be limited.
    """

    title: str
    find: Method
    knows_target: bool = False
    has_frontier: bool = False


def _lightning(question: Question) -> Found:
    from benchmarks.regret_bench import lightning_tuner  # noqa: PLC0415 - optional

    recording = question.recording
    tuned = in_fresh_process(lightning_tuner.tune, recording.workload, question.seed)
    cost_s = sum(count * recording.step_time_s(size) for size, count in tuned.step_counts.items())
    if tuned.learning_rate is None:
        return Found(setting=None, cost_s=cost_s, note="no suggestion")
    # A batch cannot be larger than the data set.
    batch_size = min(tuned.batch_size, recording.dataset_size)
    return Found(setting=Setting(batch_size, tuned.learning_rate), cost_s=cost_s)


METHODS: dict[str, Entry] = {
    OURS: Entry(title="bsadvise", find=ours.advise, knows_target=True, has_frontier=True),
    "habit": Entry(title="batch 32 at 1e-3", find=rules.habit),
    REFERENCE: Entry(title="the file's recipe", find=rules.reference),
    "share": Entry(title="0.2 % of the data", find=rules.share_of_data),
    "lightning": Entry(title="Lightning's Tuner", find=_lightning),
    "optuna": Entry(title="plain Optuna", find=sampling.plain_optuna, has_frontier=True),
    "random": Entry(title="random search", find=sampling.random_search, has_frontier=True),
}
PEERS = tuple(name for name in METHODS if name != OURS)
