"""A workload's recording: step times, and held-out loss by step."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from bsadvise.model.task import OptimizerFamily

from advisor.estimators.learning_curve import LearningCurve

DIRECTORY = Path(__file__).parents[1] / "results" / "regret"


@dataclass(frozen=True, slots=True)
class Run:
    """One setting, trained from fresh weights with one seed.

    Attributes:
        batch_size: B, samples.
        learning_rate: η.
        seed: Of the weights and of the order of the samples.
        steps: Optimizer steps after which the held-out loss was evaluated.
        losses: Held-out loss at each; fewer than ``steps`` where it diverged.
    """

    batch_size: int
    learning_rate: float
    seed: int
    steps: tuple[int, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Recording:
    """Times and learning curves of a workload, as measured on one machine.

    Attributes:
        workload: Its name.
        command: Command that made the recording.
        machine: The machine.
        recorded_s: Modelled seconds of every run.
        family: Kind of optimizer.
        dataset_size: Training samples.
        evaluation_size: Held-out samples.
        reference_batch_size: B₀ of the file.
        reference_learning_rate: η₀ of the file.
        initial_loss: Held-out loss of the untrained model, seed 0.
        load_time_per_sample_s: Seconds of data loading per sample.
        evaluation_s: Seconds of one evaluation of the held-out loss.
        optimizer_s: Seconds of the optimizer's own step.
        step_times_s: Seconds of a step by batch size, loading left out.
        runs: The runs.
    """

    workload: str
    command: str
    machine: str
    recorded_s: float
    family: str
    dataset_size: int
    evaluation_size: int
    reference_batch_size: int
    reference_learning_rate: float
    initial_loss: float
    load_time_per_sample_s: float
    evaluation_s: float
    optimizer_s: float
    step_times_s: dict[int, float]
    runs: tuple[Run, ...] = ()

    @property
    def optimizer_family(self) -> OptimizerFamily:
        """Kind of optimizer."""
        return OptimizerFamily(self.family)

    def with_run(self, run: Run) -> Recording:
        """Return a recording with one more run."""
        return replace(self, runs=(*self.runs, run))

    def step_time_s(self, batch_size: int) -> float:
        """Return the seconds of a step with data loading, interpolated between timed sizes."""
        sizes = sorted(self.step_times_s)
        size = min(max(batch_size, sizes[0]), sizes[-1])
        above = next(s for s in sizes if s >= size)
        below = max(s for s in sizes if s <= size)
        low_s, high_s = self.step_times_s[below], self.step_times_s[above]
        share = 0.0 if above == below else (size - below) / (above - below)
        beyond = batch_size / size if batch_size > size else 1.0
        return (low_s + share * (high_s - low_s)) * beyond + (
            batch_size * self.load_time_per_sample_s
        )

    @cached_property
    def by_setting(self) -> dict[tuple[int, float, int], Run]:
        """The runs by batch size, learning rate and seed."""
        return {(run.batch_size, run.learning_rate, run.seed): run for run in self.runs}

    def time_to(self, run: Run, target: float) -> float | None:
        """Return a run's modelled time to ``target``; None if it was not reached."""
        return self.curve(run).time_to(target)

    def curve(self, run: Run) -> LearningCurve:
        """Return a run's held-out loss by modelled seconds, each the mean of three evaluations."""
        step_time_s = self.step_time_s(run.batch_size)
        count = len(run.losses)
        # The untrained model's loss is at step 1, or just before if that was evaluated.
        start = 1 if run.steps[:1] != (1,) else 0.999
        curve = LearningCurve(
            tuple(step * step_time_s for step in (start, *run.steps[:count])),
            (self.initial_loss, *run.losses),
        )
        return curve.smooth()


def path_of(workload: str) -> Path:
    """Return the path of a workload's recording."""
    return DIRECTORY / f"{workload}.json"


def read_recording(path: Path) -> Recording:
    """Return the recording at ``path``."""
    document = json.loads(path.read_text(encoding="utf-8"))
    runs = tuple(
        Run(
            run["batch_size"],
            run["learning_rate"],
            run["seed"],
            tuple(run["steps"]),
            tuple(run["losses"]),
        )
        for run in document.pop("runs")
    )
    times = {int(size): time_s for size, time_s in document.pop("step_times_s").items()}
    return Recording(**document, step_times_s=times, runs=runs)


def write_recording(recording: Recording, path: Path) -> None:
    """Write ``recording`` to ``path``, a line for each run."""
    document = asdict(replace(recording, runs=()))
    head = json.dumps(document, indent=1).removesuffix("[]\n}")
    runs = ",\n  ".join(json.dumps(asdict(run)) for run in recording.runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(f"{head}[\n  {runs}\n ]\n}}\n", encoding="utf-8")
    partial.replace(path)
