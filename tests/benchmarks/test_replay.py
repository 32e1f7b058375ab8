"""The replay of a recording and the comparison of starts, on a grid that is made up."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace

import pytest
from bsadvise.model.commands import Command, RangeTest, Train, TrialOrigin
from bsadvise.model.measurements import Outcome, TrainRun
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from advisor.planning.tuning.tuning import Tuning
from advisor.ports.proposer import Point, Proposer, Study, Suggestion, TrialRecord
from benchmarks import reference_start
from benchmarks import replay as replay_command
from benchmarks.regret_bench.found import Setting
from benchmarks.regret_bench.recording import Recording, Run
from benchmarks.regret_bench.reference_start import (
    SHARES,
    candidates,
    judge,
    rank_correlation,
    screen,
)
from benchmarks.regret_bench.replayed import ReplayedTrainer
from benchmarks.regret_bench.replaying import Replay, replay, search
from benchmarks.regret_bench.surface import Surface
from benchmarks.regret_bench.target import CAP
from benchmarks.regret_bench.trainer import Trainer
from benchmarks.regret_bench.variants import (
    ALL,
    SAMPLERS,
    RandomProposer,
    SilentProposer,
    Variant,
)

REFERENCE = Setting(16, 0.02)
POWERS = range(-1, 5)
SIZES = (4, 8, 16, 32, 64)
STEP_S = 0.01
RECORDED_S = 8.0


def speed(j: float, k: float) -> float:
    """Return how fast a setting learns; best at batches of 32 and four times the rule's rate."""
    return math.pow(2.0, -(abs(j - 5) + abs(k - 2)))


def rule(size: int) -> float:
    return REFERENCE.learning_rate * size / REFERENCE.batch_size


def a_grid_run(size: int, power: int, seed: int = 0) -> Run:
    """Return a run whose loss falls from 4 with log time; at the highest rate it diverges."""
    steps = (1, *(2**n for n in range(1, 9)), 800)
    if power == POWERS[-1]:
        steps = steps[:4]
    rate = speed(math.log2(size), power)
    losses = tuple(4.0 / (1 + 4 * rate * step * STEP_S) for step in steps)
    return Run(size, rule(size) * 2.0**power, seed, steps, losses)


RECORDING = Recording(
    workload="made_up",
    command="none",
    machine="none",
    recorded_s=RECORDED_S,
    family="sgd",
    dataset_size=4000,
    evaluation_size=100,
    reference_batch_size=REFERENCE.batch_size,
    reference_learning_rate=REFERENCE.learning_rate,
    initial_loss=4.0,
    load_time_per_sample_s=0.0,
    evaluation_s=0.001,
    optimizer_s=0.001,
    step_times_s=dict.fromkeys(SIZES, STEP_S),
    runs=tuple(itertools.starmap(a_grid_run, itertools.product(SIZES, POWERS))),
)
SURFACE = Surface(RECORDING)
BEST = Setting(32, rule(32) * 4)


def a_setting(size: int, power: float) -> Setting:
    return Setting(size, rule(size) * 2.0**power)


class TestSurface:
    @pytest.mark.parametrize("run", [run for run in RECORDING.runs if len(run.steps) > 4])
    def test_a_recorded_loss_is_what_was_seen(self, run: Run) -> None:
        setting = Setting(run.batch_size, run.learning_rate)
        for step, loss in zip(run.steps, run.losses, strict=True):
            assert SURFACE.loss(setting, step * STEP_S) == pytest.approx(loss)

    @given(j=st.floats(2, 6), k=st.floats(-1, POWERS[-1] - 1), time_s=st.floats(STEP_S, RECORDED_S))
    def test_between_settings_a_loss_lies_between_theirs(
        self, j: float, k: float, time_s: float
    ) -> None:
        size = round(2**j)
        sizes = [2 ** math.floor(math.log2(size)), 2 ** math.ceil(math.log2(size))]
        powers = [math.floor(k), math.ceil(k)]
        corners = [
            SURFACE.loss(a_setting(*corner), time_s) for corner in itertools.product(sizes, powers)
        ]
        loss = SURFACE.loss(a_setting(size, k), time_s)
        assert min(corners) - 1e-9 <= loss <= max(corners) + 1e-9

    def test_the_best_of_the_grid_is_the_oracle(self) -> None:
        ratios = {
            setting: SURFACE.ratio(setting)
            for setting in itertools.starmap(a_setting, itertools.product(SIZES, POWERS))
        }
        assert min(ratios.values()) == ratios[BEST] == pytest.approx(1.0)

    def test_what_diverged_counts_as_lost(self) -> None:
        largest_rate = a_setting(32, POWERS[-1])
        assert SURFACE.loss(largest_rate, STEP_S) < math.inf
        assert SURFACE.loss(largest_rate, RECORDED_S) == math.inf
        assert SURFACE.ratio(largest_rate) == CAP

    def test_what_is_above_the_rates_of_the_grid_diverges_at_once(self) -> None:
        assert SURFACE.loss(a_setting(32, POWERS[-1] + 1), STEP_S) == math.inf
        assert SURFACE.ratio(a_setting(32, POWERS[-1] + 1)) == CAP

    def test_a_rate_below_the_grid_takes_so_much_longer(self) -> None:
        edge, below = a_setting(32, -1), a_setting(32, -2)
        assert SURFACE.loss(below, 2.0) == pytest.approx(SURFACE.loss(edge, 1.0))

    def test_a_batch_above_the_grid_does_no_better_a_step(self) -> None:
        recording = replace(RECORDING, step_times_s={**RECORDING.step_times_s, 128: 2 * STEP_S})
        edge, above = a_setting(64, 1), a_setting(128, 1)
        surface = Surface(recording)
        assert surface.loss(above, 2.0) == pytest.approx(surface.loss(edge, 1.0))

    def test_ratios_are_judged_by_the_median_of_the_seeds_and_losses_by_the_first(self) -> None:
        others = [
            replace(run, seed=seed, losses=a_grid_run(4, 0).losses)
            if (run.batch_size, run.learning_rate) == BEST
            else replace(run, seed=seed)
            for run, seed in itertools.product(RECORDING.runs, (1, 2))
        ]
        surface = Surface(replace(RECORDING, runs=(*RECORDING.runs, *others)))
        assert surface.loss(BEST, 1.0) == SURFACE.loss(BEST, 1.0)
        assert surface.ratio(BEST) > 1.5


def a_training(setting: Setting, steps: int, **changes: object) -> Train:
    command = Train(
        time_limit_s=60.0,
        micro_batch_size=setting.batch_size,
        accumulation_steps=1,
        learning_rate=setting.learning_rate,
        step_count=steps,
        evaluation_batch_size=64,
    )
    return replace(command, **changes)  # type: ignore[arg-type]  # any field of the command


def a_run_of(trainer: Trainer, command: Train) -> TrainRun:
    return trainer.ask(command, TrainRun)


class TestReplayedTrainer:
    def test_two_rungs_equal_one(self) -> None:
        trainer = ReplayedTrainer(SURFACE)
        whole = a_run_of(trainer, a_training(BEST, 96))
        a_run_of(trainer, a_training(BEST, 32, save_checkpoint="half"))
        rest = a_run_of(trainer, a_training(BEST, 64, start_checkpoint="half"))
        assert rest.held_out_loss == whole.held_out_loss

    def test_it_stops_where_the_mean_of_three_evaluations_is_at_the_target(self) -> None:
        marks = tuple(range(10, 200, 10))
        whole = a_run_of(ReplayedTrainer(SURFACE), a_training(BEST, 200, evaluation_steps=marks))
        target = sum(whole.earlier_losses[5:8]) / 3
        cut = a_run_of(
            ReplayedTrainer(SURFACE),
            a_training(BEST, 200, evaluation_steps=marks, target_loss=target),
        )
        assert cut.step_count == marks[7]
        assert cut.earlier_losses == whole.earlier_losses[:8]
        assert cut.held_out_loss == whole.earlier_losses[7]

    def test_divergence_ends_a_training_and_keeps_no_checkpoint(self) -> None:
        trainer = ReplayedTrainer(SURFACE)
        diverging = a_training(
            a_setting(32, POWERS[-1]), 100, evaluation_steps=(2, 50), save_checkpoint="end"
        )
        run = a_run_of(trainer, diverging)
        assert (run.diverged, run.step_count, run.held_out_loss) == (True, 50, None)
        assert len(run.earlier_losses) == 1
        with pytest.raises(KeyError):
            trainer.execute(a_training(BEST, 1, start_checkpoint="end"))

    def test_it_does_not_make_up_what_was_not_recorded(self) -> None:
        command = RangeTest(
            time_limit_s=1.0,
            micro_batch_size=4,
            accumulation_steps=1,
            smallest_learning_rate=1e-4,
            largest_learning_rate=1.0,
            step_count=10,
        )
        with pytest.raises(LookupError):
            ReplayedTrainer(SURFACE).execute(command)


STUDY = Study(
    smallest_batch_size=4,
    largest_batch_size=64,
    smallest_multiplier=0.25,
    largest_multiplier=4.0,
    trials=(TrialRecord(point=Point(effective_batch_size=16, lr_multiplier=1.0)),),
    seed=0,
)


class TestVariants:
    @given(seed=st.integers(0, 1000))
    def test_random_settings_are_within_the_bounds_and_can_be_drawn_again(self, seed: int) -> None:
        study = replace(STUDY, seed=seed)
        point = RandomProposer().propose(study).point
        assert 4 <= point.effective_batch_size <= 64
        assert 0.25 <= point.lr_multiplier <= 4.0
        assert RandomProposer().propose(study).point == point

    def test_a_silent_sampler_adds_nothing(self) -> None:
        assert SilentProposer().propose(STUDY).point == STUDY.trials[0].point

    @pytest.mark.parametrize("sampler", SAMPLERS.values())
    def test_a_suggestion_is_passed_on_by_every_sampler(self, sampler: type[Proposer]) -> None:
        point = Point(effective_batch_size=128, lr_multiplier=1.5)
        suggestion = Suggestion(point=point, origin=TrialOrigin.NEIGHBOUR)
        study = replace(STUDY, trials=(), suggestion=suggestion)
        assert sampler().propose(study) == suggestion

    def test_the_noise_penalty_is_left_out_of_its_variant_alone(self) -> None:
        assert Variant().tuning == Tuning()
        assert Variant().tuning.trials.ranking.noise_penalty > 0
        assert Variant(penalises_noise=False).tuning.trials.ranking.noise_penalty == 0

    def test_every_variant_has_a_title_of_its_own(self) -> None:
        assert len({variant.title for variant in ALL}) == len(ALL)


class TestReplaying:
    def test_a_search_with_time_enough_comes_near_the_best(self) -> None:
        assert SURFACE.ratio(search(SURFACE, Variant(), 10.0, 0)) < 1.5
        assert SURFACE.ratio(REFERENCE) > 3

    @pytest.mark.parametrize("variant", ALL[1:])
    def test_all_variants_search(self, variant: Variant) -> None:
        one = replay([SURFACE], variant, 2.0, [0])
        assert one.ratios.keys() == {"made_up"}
        assert 0.5 < one.mean <= CAP

    def test_table_and_document_say_mean_and_worst(self) -> None:
        replays = [Replay(Variant(), 0.5, {"a": 1.0, "b": 4.0}), Replay(Variant(), 2.0, {"a": 1.0})]
        console = Console(width=120, record=True)
        console.print(replay_command.table(replays))
        assert "2.00 / 4.00" in console.export_text()
        saved = replay_command.document(replays, [0])["replays"]
        assert isinstance(saved, list)
        assert (saved[0]["mean"], saved[0]["worst"], saved[0]["worst_workload"]) == (2.0, 4.0, "b")


class TestRankCorrelation:
    @given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20, unique=True))
    def test_only_the_order_counts(self, values: list[float]) -> None:
        order = [sorted(values).index(value) for value in values]
        assert rank_correlation(values, order) == pytest.approx(1.0)
        assert rank_correlation(values, [-place for place in order]) == pytest.approx(-1.0)

    def test_infinities_tie_above_all_else(self) -> None:
        inf = math.inf
        assert rank_correlation([1.0, 2.0, inf, inf], [1.0, 2.0, 3.0, 3.0]) == pytest.approx(1.0)


@dataclass
class TracingTrainer(ReplayedTrainer):
    """Notes what it was asked to train."""

    surface: Surface
    commands: list[Train] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.surface)
        replayed = self.execute

        def execute(command: Command) -> Outcome:
            if isinstance(command, Train):
                self.commands.append(command)
            return replayed(command)

        self.execute = execute


class TestReferenceStart:
    def test_candidates_are_near_the_reference_batch(self) -> None:
        assert {setting.batch_size for setting in candidates(RECORDING)} == set(SIZES)
        wide = replace(RECORDING, step_times_s=dict.fromkeys((*SIZES, 128), STEP_S))
        assert 128 not in {setting.batch_size for setting in candidates(wide)}

    def test_the_lowest_loss_is_chosen_and_judged_by_its_time(self) -> None:
        losses = {a_setting(16, 1): 2.0, BEST: 1.0, a_setting(32, POWERS[-1]): math.inf}
        one = judge(SURFACE, "fresh", 0.1, losses)
        assert one.chosen == BEST
        assert one.ratio == pytest.approx(1.0)
        assert one.rank_correlation == pytest.approx(1.0)

    def test_trials_from_the_reference_resume_its_state_with_rates_of_their_own(self) -> None:
        trainer = TracingTrainer(SURFACE)
        screenings = list(screen(SURFACE, trainer))
        assert [(one.start, one.share) for one in screenings] == [
            (start, share) for share in SHARES for start in ("fresh", "reference")
        ]
        trials = [command for command in trainer.commands if command.start_checkpoint]
        references = [command for command in trainer.commands if command.save_checkpoint]
        assert len(references) == len(SHARES)
        assert {trial.first_sample for trial in trials} == {
            run.step_count * run.micro_batch_size for run in references
        }
        settings = {Setting(b.micro_batch_size, b.learning_rate) for b in trials}
        assert settings == set(candidates(RECORDING))

    def test_table_has_a_row_for_each_start_and_share(self) -> None:
        screenings = list(screen(SURFACE, ReplayedTrainer(SURFACE)))
        assert reference_start.table(screenings).row_count == 2 * len(SHARES)
        saved = reference_start.document(screenings)["screenings"]
        assert isinstance(saved, list)
        assert len(saved) == len(screenings)
