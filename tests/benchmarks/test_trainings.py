"""Trainings of a stated length: which are recorded, how they are judged, what is reported."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from bsadvise.model.horizon import FinalLoss, StepSchedule
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.recording import Recording, write_recording
from benchmarks.trainings_bench import question, recording, times
from benchmarks.trainings_bench.grid import SEEDS, Lattice, missing
from benchmarks.trainings_bench.judging import CAP, Judge
from benchmarks.trainings_bench.question import Answer, Case, Question, add_answer, read_answers
from benchmarks.trainings_bench.recording import Training, add_training, read_trainings
from benchmarks.trainings_bench.report import report
from benchmarks.trainings_bench.results import read_result
from benchmarks.trainings_bench.rules import linear, square_root
from benchmarks.trainings_bench.sampling import plain_optuna
from benchmarks.trainings_bench.workloads import WORKLOADS, Workload

SAMPLES = 200_000
BEST = Setting(128, 0.008)


def some_times(sample_s: Callable[[int], float] = lambda size: 1e-4 + 1e-3 / size) -> Recording:
    """Return times of a workload whose file says 32 at 1e-3."""
    return Recording(
        workload="made_up",
        command="none",
        machine="none",
        recorded_s=1.0,
        family="adam",
        dataset_size=50_000,
        evaluation_size=100,
        reference_batch_size=32,
        reference_learning_rate=1e-3,
        initial_loss=2.3,
        load_time_per_sample_s=0.0,
        evaluation_s=0.01,
        optimizer_s=1e-4,
        step_times_s={2**k: 2**k * sample_s(2**k) for k in range(2, 11)},
    )


def planted(samples: float, setting: Setting, best: Setting = BEST) -> float:
    """Return a loss that falls as a power of the samples, and rises about a best setting."""
    batch_off = math.log(setting.batch_size / best.batch_size)
    rate_off = math.log(setting.learning_rate / best.learning_rate)
    wasted = math.exp(0.05 * batch_off**2 + 0.1 * (rate_off - 0.5 * batch_off) ** 2)
    return 0.1 + 20 * math.exp(-0.4 * math.log(samples / wasted))


def a_training(samples: int, setting: Setting, loss: float, seed: int = 0) -> Training:
    """Return a complete training."""
    count = recording.step_count(samples, setting.batch_size)
    return Training(
        schedule="cosine",
        samples=samples,
        batch_size=setting.batch_size,
        learning_rate=setting.learning_rate,
        seed=seed,
        is_of_grid=True,
        steps=(count,),
        losses=(loss,),
    )


def whole_grid(lattice: Lattice, best: Setting = BEST) -> list[Training]:
    """Return all trainings that a grid wants."""
    made: list[Training] = []
    while (planned := missing(lattice, made)) is not None:
        loss = planted(planned.samples, planned.setting, best)
        made.append(a_training(planned.samples, planned.setting, loss, planned.seed))
        assert len(made) < 200
    return made


@settings(max_examples=20)
@given(st.integers(8, 512), st.floats(1e-4, 0.1))
def test_a_grid_is_followed_to_the_best_setting_wherever_it_is(size: int, rate: float) -> None:
    best = Setting(size, rate)
    made = whole_grid(Lattice(times=some_times(), samples=SAMPLES), best)
    whole = [one for one in made if one.samples == SAMPLES and one.seed == SEEDS[0]]
    found = min(whole, key=lambda one: one.loss)
    # Steps of the grid are factors of two, and the loss is a bowl in their logarithms.
    assert math.log(found.loss - 0.1) - math.log(planted(SAMPLES, best, best) - 0.1) < 0.05
    assert len({one.key for one in made}) == len(made)
    assert {one.seed for one in made} == set(SEEDS)


@settings(max_examples=20)
@given(st.floats(1.0, 3.0), st.sampled_from([16, 64, 256]))
def test_a_planted_factor_of_time_is_recovered(factor: float, size: int) -> None:
    lattice = Lattice(times=some_times(), samples=SAMPLES)
    losses: dict[int, dict[Setting, float]] = {}
    for one in whole_grid(lattice):
        losses.setdefault(one.samples, {})[one.setting] = one.loss
    judge = Judge(times=lattice.times, samples=SAMPLES, losses=losses)
    # What the best setting of the grid has after a fraction of the samples.
    loss = 0.1 + (judge.whole[judge.lowest] - 0.1) * factor**0.4
    price = lattice.times.step_time_s(size) / size
    expected = (
        factor
        * price
        * math.exp(-judge.log_time(judge.fastest.batch_size, judge.whole[judge.fastest]))
    )
    ratio = judge.time_ratio(size, loss)
    assert ratio == pytest.approx(min(expected, CAP), rel=0.06)
    fastest = judge.fastest
    assert judge.time_ratio(fastest.batch_size, judge.whole[fastest]) == pytest.approx(1)
    assert judge.loss_gap(judge.whole[judge.lowest]) == 0


def test_what_diverged_costs_the_cap() -> None:
    setting, other = Setting(32, 1e-3), Setting(32, 1.0)
    losses = {SAMPLES: {setting: 1.0, other: math.inf}, SAMPLES // 2: {setting: 1.2}}
    judge = Judge(times=some_times(), samples=SAMPLES, losses=losses)
    assert judge.time_ratio(32, math.inf) == CAP
    assert math.isinf(judge.loss_gap(math.inf))


def test_a_training_that_ended_early_has_no_loss() -> None:
    whole = a_training(SAMPLES, Setting(32, 1e-3), 0.5)
    assert whole.loss == 0.5
    cut = Training(**{name: getattr(whole, name) for name in FIELDS} | {"steps": (100,)})
    assert math.isinf(cut.loss)


FIELDS = (
    "schedule", "samples", "batch_size", "learning_rate", "seed", "is_of_grid", "steps", "losses",
)  # fmt: skip


class FakeTrainer:
    """Trains by the planted law; counts samples."""

    def __init__(self) -> None:
        self.counts: list[tuple[Setting, int]] = []

    def train(
        self,
        batch_size: int,
        learning_rate: float,
        step_count: int,
        marks: tuple[int, ...],
        schedule: StepSchedule | None = None,
    ) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Return the loss at the end; a high rate diverges."""
        assert schedule is not None
        assert schedule.total_steps == step_count
        setting = Setting(batch_size, learning_rate)
        self.counts.append((setting, step_count))
        if learning_rate > 1:
            return (), ()
        return (step_count,), (planted(step_count * batch_size, setting),)


def a_question(method: str, share: float | None, trainer: object) -> Question:
    """Return a question about the made-up workload."""
    case = Case(method=method, schedule="cosine", samples=SAMPLES, share=share, seed=0)
    return Question(
        case=case,
        workload=Workload(name="made_up", kind="none", samples=SAMPLES, is_judge=True),
        times=some_times(),
        trainer=trainer,  # type: ignore[arg-type]
    )


def test_optuna_spends_what_it_is_allowed_on_trials_of_equal_time() -> None:
    trainer = FakeTrainer()
    asked = a_question("optuna", 0.2, trainer)
    answer = plain_optuna(asked)
    assert answer.cost_s == pytest.approx(asked.allowed_s, rel=0.1)
    assert answer.trial_count == len(trainer.counts) == 10
    finite = {s: planted(n * s.batch_size, s) for s, n in trainer.counts if s.learning_rate <= 1}
    assert answer.setting == min(finite, key=finite.__getitem__)


def test_rules_scale_the_recipe_to_a_fast_batch() -> None:
    asked = a_question("linear", None, FakeTrainer())
    # A sample takes 1e-4 s and a share of 1e-3 s: within a tenth from 128 on.
    assert linear(asked).setting == Setting(128, 4e-3)
    assert square_root(asked).setting == Setting(128, 2e-3)


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workload:
    """Return a workload with a recorded grid and two answers."""
    for module in (times, recording, question):
        monkeypatch.setattr(module, "DIRECTORY", tmp_path)
    workload = Workload(name="made_up", kind="none", samples=SAMPLES, is_judge=True)
    write_recording(some_times(), times.path_of("made_up"))
    lattice = Lattice(times=some_times(), samples=SAMPLES)
    path = recording.path_of("made_up")
    for one in whole_grid(lattice):
        add_training(path, one)
    assert read_trainings(path) == whole_grid(lattice)
    for name, setting, said in (
        ("bsadvise", Setting(128, 0.008), FinalLoss(value=0.25, low=0.2, high=0.3)),
        ("recipe", Setting(32, 1e-3), None),
    ):
        asked = a_question(name, 0.05 if said else None, FakeTrainer())
        answer = Answer(setting=setting, cost_s=asked.times.recorded_s, final_loss=said)
        add_answer(question.answers_path("made_up"), asked.case, answer)
        assert read_answers(question.answers_path("made_up"))[asked.case] == answer
    add_training(path, a_training(SAMPLES, Setting(128, 0.008), planted(SAMPLES, BEST)))
    return workload


def test_answers_are_judged_by_the_grid(made_up: Workload) -> None:
    result = read_result(made_up, "cosine")
    assert result is not None
    assert result.is_complete
    ours, recipe = result.judged
    # The grid has no place at the planted best.
    assert ours.time_ratio < 1.1 < recipe.time_ratio
    assert ours.is_loss_in_interval == (0.2 <= planted(SAMPLES, BEST) <= 0.3)
    assert recipe.is_loss_in_interval is None
    assert read_result(made_up, "wsd") is None


def test_the_report_names_each_answer_and_the_machine(made_up: Workload) -> None:
    text = report([made_up], ["cosine", "wsd"])
    assert "Steps were timed on none," in text
    assert "| bsadvise | 5 % | 0 | 128 at 0.008 |" in text
    assert "| the file's recipe |" in text
    assert "1 of 1" in text


def test_workloads_are_files_of_their_names() -> None:
    folder = Path(__file__).parents[2] / "benchmarks" / "workloads"
    assert all((folder / f"{name}.py").exists() for name in WORKLOADS)
    assert {one.is_judge for one in WORKLOADS.values()} == {True, False}
