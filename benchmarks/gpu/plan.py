"""The steps, and which of them run where: pure, so that it is tested without a GPU."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

TOTAL_LIMIT_S = 570.0
"""Less than the ten minutes that a command on a lent machine often gets."""


class Part(StrEnum):
    """What a machine may lack."""

    CUDA = "cuda"
    COMPILER = "compiler"
    PHOTOGRAPHS = "photographs"
    TRANSFORMERS = "transformers"
    LANDLOCK = "landlock"
    ENERGY = "energy"


_LACKING = {
    Part.CUDA: "no CUDA device",
    Part.COMPILER: "no C compiler, which torch.compile needs",
    Part.PHOTOGRAPHS: "scikit-learn, whose photographs are used, or Pillow is not installed",
    Part.TRANSFORMERS: "Transformers is not installed",
    Part.LANDLOCK: "this kernel has no Landlock",
    Part.ENERGY: "no energy counter can be read",
}


class Status(StrEnum):
    """How a step ended."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    SKIPPED = "skipped"
    NOT_REACHED = "not reached"


UNFINISHED = frozenset({Status.FAILED, Status.TIMED_OUT, Status.NOT_REACHED})
"""What a later run takes up again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the run.

    Attributes:
        name: Its name.
        limit_s: Seconds after which it is ended.
        needs: What it cannot do without.
        partly_needs: What a part of it cannot do without, and what that part is.
    """

    name: str
    limit_s: float
    needs: frozenset[Part] = frozenset()
    partly_needs: Mapping[Part, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A step on this machine.

    Attributes:
        step: The step.
        skips: Why it is skipped, or else which parts of it are; empty for none.
        is_skipped: Whether all of it is.
    """

    step: Step
    skips: tuple[str, ...] = ()
    is_skipped: bool = False


_PUBLISHED = "the published size, and torch.compile"

STEPS = (
    Step(
        name="sandbox",
        limit_s=80.0,
        partly_needs={
            Part.LANDLOCK: "the sandboxes that need Landlock",
            Part.CUDA: "the device files of a GPU, and torch.compile",
            Part.COMPILER: "torch.compile",
        },
    ),
    Step(
        name="energy",
        limit_s=25.0,
        needs=frozenset({Part.ENERGY}),
        partly_needs={Part.CUDA: "NVML's energy counter"},
    ),
    Step(name="tests", limit_s=75.0, partly_needs={Part.CUDA: "the tests marked gpu"}),
    Step(
        name="memory",
        limit_s=120.0,
        partly_needs={
            Part.CUDA: "reserved bytes and NVML, and six of the eight models",
            Part.TRANSFORMERS: "the models bert and vit",
        },
    ),
    *(
        Step(
            name=name,
            limit_s=limit_s,
            needs=needs,
            partly_needs={Part.CUDA: _PUBLISHED, Part.COMPILER: "torch.compile"},
        )
        for name, limit_s, needs in (
            ("gpt2_synthetic", 80.0, frozenset[Part]()),
            ("gpt2_text", 100.0, frozenset[Part]()),
            ("resnet50_synthetic", 80.0, frozenset[Part]()),
            ("resnet50_photographs", 100.0, frozenset({Part.PHOTOGRAPHS})),
        )
    ),
)


def plan(
    parts: Collection[Part], *, done: Collection[str] = (), steps: Sequence[Step] = STEPS
) -> list[Planned]:
    """Return the steps that are left, in order, each with what is skipped of it.

    Args:
        parts: What the machine has.
        done: Names of steps whose figures are there already.
        steps: All steps.
    """
    planned = []
    for step in steps:
        if step.name in done:
            continue
        lacking = [_LACKING[part] for part in Part if part in step.needs and part not in parts]
        partly = [
            f"{what}: {_LACKING[part]}"
            for part, what in step.partly_needs.items()
            if part not in parts
        ]
        planned.append(Planned(step=step, skips=tuple(lacking or partly), is_skipped=bool(lacking)))
    return planned


def limit_of(step: Step, left_s: float) -> float | None:
    """Return a step's limit in seconds; None where too little is left to begin it.

    Args:
        step: The step.
        left_s: Seconds until the run must have ended.
    """
    limit_s = min(step.limit_s, left_s)
    return limit_s if limit_s >= step.limit_s / 2 else None
