"""Whole searches of the regret benchmark on a task that is a formula: nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from bsadvise.model.commands import Evaluate, TimeSteps, Train
from bsadvise.model.measurements import Evaluation, StepTimes, TrainRun

from benchmarks.regret_bench.answers import SHARES
from benchmarks.regret_bench.found import Question, Setting
from benchmarks.regret_bench.methods import METHODS, OURS
from benchmarks.regret_bench.modelled import ModelledWorker, training_s
from benchmarks.regret_bench.recording import Recording
from benchmarks.regret_bench.rungs import train_in_rungs
from benchmarks.regret_bench.times_to_target import TimesToTarget
from benchmarks.regret_bench.trainer import Trainer
from tests.support.builders import a_measurement, a_profile
from tests.support.simulated_device import SimulatedDevice, fresh_errors

DEVICE = SimulatedDevice(profile=a_profile(reference_learning_rate=0.05))
ORACLE_S = 2.0


class FormulaTrainer(Trainer):
    """Answers by formula, however long it would have taken."""

    def __init__(self) -> None:
        self.device = replace(DEVICE, checkpoints={}, commands=[])
        self.execute = lambda command: self.device.measure(command).outcome


@dataclass
class Scene:
    """A recording of the formula, and its trainer."""

    trainer: FormulaTrainer = field(default_factory=FormulaTrainer)
    recording: Recording = field(
        default_factory=lambda: Recording(
            workload="formula",
            command="none",
            machine="none",
            recorded_s=5.0,
            family=DEVICE.profile.optimizer.family.value,
            dataset_size=60_000,
            evaluation_size=1_000,
            reference_batch_size=64,
            reference_learning_rate=0.05,
            initial_loss=DEVICE.loss(fresh_errors()),
            load_time_per_sample_s=1e-7,
            evaluation_s=1e-3,
            optimizer_s=5e-4,
            step_times_s={2**k: DEVICE.step_time_s(2**k) for k in range(2, 11)},
        )
    )

    def question(self, cost_s: float | None = None, *, seed: int = 0) -> Question:
        return Question(
            recording=self.recording,
            trainer=self.trainer,
            seed=seed,
            target_loss=0.1,
            cost_s=cost_s,
        )


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", [name for name, entry in METHODS.items() if entry.has_frontier])
def test_a_search_keeps_to_its_seconds_and_uses_them(scene: Scene, name: str, share: float) -> None:
    cost_s = share * ORACLE_S
    found = METHODS[name].find(scene.question(cost_s))
    assert found.setting is not None
    a_step_s = DEVICE.step_time_s(found.setting.batch_size)
    assert 0.5 * cost_s <= found.cost_s <= cost_s * 1.001 + a_step_s
    assert found.trial_count >= 3


def test_a_search_is_the_same_again(scene: Scene) -> None:
    for name in ("optuna", "random", OURS):
        once = METHODS[name].find(scene.question(1.0, seed=3))
        assert METHODS[name].find(Scene().question(1.0, seed=3)) == once


def test_rules_search_nothing(scene: Scene) -> None:
    settings = {}
    for name in ("habit", "reference", "share"):
        found = METHODS[name].find(scene.question())
        assert found.cost_s == 0
        settings[name] = found.setting
    assert settings == {"habit": (32, 1e-3), "reference": (64, 0.05), "share": (120, 0.05)}
    assert scene.trainer.device.commands == []


def test_seconds_are_the_recordings_whatever_the_worker_takes(scene: Scene) -> None:
    worker = ModelledWorker(scene.recording, scene.trainer, counts_overheads=False)
    timed = worker.measure(TimeSteps(time_limit_s=1.0, micro_batch_size=32, measure_s=0.3))
    assert timed.wall_s == 0
    assert isinstance(timed.outcome, StepTimes)
    assert timed.outcome.step_times_s[0] == pytest.approx(DEVICE.step_time_s(32))
    train = Train(
        time_limit_s=1.0, micro_batch_size=16, accumulation_steps=2, learning_rate=0.05,
        step_count=100, evaluation_steps=(10, 50), evaluation_batch_size=64,
    )  # fmt: skip
    trained = worker.measure(train)
    step_time_s = scene.recording.step_time_s(32)
    assert trained.wall_s == pytest.approx(100 * step_time_s + 3e-3)
    evaluated = worker.measure(Evaluate(time_limit_s=1.0, evaluation_batch_size=64))
    assert evaluated.wall_s == 1e-3
    assert isinstance(evaluated.outcome, Evaluation)
    assert evaluated.outcome.evaluation_s == 1e-3
    log = (timed, trained, evaluated, a_measurement())
    assert training_s(log) == pytest.approx(trained.wall_s + 1e-3)


def test_a_training_ends_by_its_steps_where_it_would_end_by_its_seconds(scene: Scene) -> None:
    worker = ModelledWorker(scene.recording, scene.trainer, counts_overheads=True)
    train = Train(
        time_limit_s=1.0, micro_batch_size=32, accumulation_steps=1, learning_rate=0.05,
        step_count=100, evaluation_steps=(10, 50), evaluation_batch_size=64,
        stop_after_s=20.5 * scene.recording.step_time_s(32),
    )  # fmt: skip
    measured = worker.measure(train)
    assert measured.command == train
    assert isinstance(measured.outcome, TrainRun)
    assert measured.outcome.step_count == 21
    assert len(measured.outcome.earlier_losses) == 1


def test_rungs_make_one_training(scene: Scene) -> None:
    setting = Setting(32, 0.05)
    rungs = list(train_in_rungs(scene.trainer, setting, [10, 40], [5, 10, 20]))
    assert [rung.steps for rung in rungs] == [(5, 10), (20, 40)]
    errors = DEVICE.train(fresh_errors(), batch_size=32, learning_rate=0.05, steps=40)
    assert rungs[-1].losses[-1] == pytest.approx(DEVICE.loss(errors), rel=1e-4)
    first = scene.trainer.device.commands[-1]
    assert isinstance(first, Train)
    assert first.first_sample == 10 * 32


def test_a_setting_is_trained_once_and_until_it_reaches_the_target(
    scene: Scene, tmp_path: Path
) -> None:
    setting, target = Setting(32, 0.05), 0.1
    path = tmp_path / "lines"
    times_to_target = TimesToTarget(path, scene.recording, target)
    times_to_target.ensure(setting, 0, 20.0, scene.trainer)
    time_s = times_to_target.time_s(setting, 0, 20.0)
    true_s = DEVICE.time_to_loss_s(32, 0.05, target)
    assert time_s is not None
    assert true_s <= time_s <= 1.25 * true_s, (
        "a mean of three evaluations reaches it a little later"
    )
    trained = sum(c.step_count for c in scene.trainer.device.commands if isinstance(c, Train))
    assert trained * scene.recording.step_time_s(32) < 20, "it stops at the target"
    before = len(scene.trainer.device.commands)
    TimesToTarget(path, scene.recording, target).ensure(setting, 0, 20.0, scene.trainer)
    assert len(scene.trainer.device.commands) == before


def test_what_takes_a_few_steps_is_trained_once_too(scene: Scene, tmp_path: Path) -> None:
    path, setting = tmp_path / "lines", Setting(32, 1e-6)
    within_s = 3.4 * scene.recording.step_time_s(setting.batch_size)
    for _ in range(2):
        times_to_target = TimesToTarget(path, scene.recording, 1e-9)
        times_to_target.ensure(setting, 0, within_s, scene.trainer)
        assert times_to_target.time_s(setting, 0, within_s) is None
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1


def test_a_setting_that_diverges_is_not_trained_on(scene: Scene, tmp_path: Path) -> None:
    times_to_target = TimesToTarget(tmp_path / "lines", scene.recording, 0.1)
    times_to_target.ensure(Setting(32, 50.0), 0, 2.0, scene.trainer)
    assert times_to_target.time_s(Setting(32, 50.0), 0, 200.0) is None
