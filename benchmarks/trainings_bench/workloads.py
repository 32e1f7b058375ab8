"""The trainings: a model file each, how long it is trained, and on which schedules."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bsadvise.model.horizon import LearningRateSchedule, parse_schedule

WARMUP_SHARE = 0.02
SCHEDULES: dict[str, LearningRateSchedule] = {
    name: replace(parse_schedule(name), warmup_share=WARMUP_SHARE) for name in ("cosine", "wsd")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A model file of ``benchmarks/workloads`` and the length of its training.

    Attributes:
        name: The file's, without ``.py``.
        kind: Data, model and optimizer.
        samples: That the training sees, repeats counted, whatever the batch size.
        is_judge: Whether constants of the advisor must not be tuned on it.
    """

    name: str
    kind: str
    samples: int
    is_judge: bool


WORKLOADS = {
    one.name: one
    for one in (
        Workload(
            name="fashion_mlp",
            kind="Fashion-MNIST, MLP, AdamW, 4 epochs",
            samples=240_000,
            is_judge=False,
        ),
        Workload(
            name="flights_mlp",
            kind="tabular regression, embeddings and MLP, Adam, 1 epoch",
            samples=323_346,
            is_judge=True,
        ),
        Workload(
            name="fashion_cnn",
            kind="Fashion-MNIST, CNN with batch norm, SGD with momentum, 3 epochs",
            samples=180_000,
            is_judge=True,
        ),
        Workload(
            name="library_gpt",
            kind="letters of Python's library, transformer, AdamW, 64,000 windows",
            samples=64_000,
            is_judge=True,
        ),
    )
}
