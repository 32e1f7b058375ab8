"""Whole recommendations on a simulated device: what is promised of the answer holds."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import replace

import pytest
from bsadvise.model.advice import Advice, Confidence, Evidence, Refusal, RefusalCode
from bsadvise.model.commands import RecallAnswers, RunStep, TraceMemory, Train, Verify
from bsadvise.model.measurements import Log, OutOfMemory, TrainRun
from bsadvise.model.request import Objective
from bsadvise.model.task import OptimizerFamily, OptimizerProfile
from bsadvise.model.values import Unknown

from advisor.planning.answer.caveats import caveats
from advisor.planning.answer.choice import Chooser
from advisor.planning.evidence.log_view import LogView
from advisor.planning.planner import RecommendationPlanner
from advisor.planning.trials.trial_search import TrialSearch
from tests.planning.conftest import Recommend
from tests.support.builders import a_device, a_gpu, a_profile, a_request
from tests.support.simulated_device import SimulatedDevice

SGD = OptimizerProfile(optimizer_name="SGD", family=OptimizerFamily.SGD, momentum=0.0)

ONLY_THE_REFERENCE = "Only the reference recipe was trained"


def _simulated(**changes: object) -> SimulatedDevice:
    rate = changes.pop("learning_rate", 0.05)
    profile = a_profile(optimizer=SGD, reference_batch_size=32, reference_learning_rate=rate)
    defaults: dict[str, object] = {
        "profile": profile,
        "fixed_time_s": 0.02,
        "sample_time_s": 2e-4,
    }
    return SimulatedDevice(**defaults | changes)  # type: ignore[arg-type] # any field


def _advice(answer: Advice | Refusal) -> Advice:
    assert isinstance(answer, Advice)
    return answer


def test_the_answer_is_verified_exact_and_within_the_budget(recommend: Recommend) -> None:
    simulated = _simulated()
    answer, log = recommend(simulated)
    advice = _advice(answer)
    assert advice.verified
    assert advice.lr_evidence is Evidence.MEASURED
    assert advice.search.out_of_memory_count == 0
    product = advice.micro_batch_size * advice.accumulation_steps * advice.world_size
    assert product == advice.effective_batch_size
    assert advice.max_micro_batch_size == simulated.true_largest()
    assert sum(entry.wall_s for entry in log) <= 60
    last = log[-1].command
    assert isinstance(last, Verify)
    assert (last.micro_batch_size, last.accumulation_steps, last.learning_rate) == (
        advice.micro_batch_size,
        advice.accumulation_steps,
        advice.learning_rate,
    )


def test_answers_come_near_the_planted_optima(recommend: Recommend) -> None:
    horizon_s = 8.0  # About the last rung: what lies beyond it, short trials cannot tell.
    ratios = []
    for learning_rate, noise, (fixed_s, sample_s) in itertools.product(
        (0.003, 0.05, 0.3), (1.0, 20.0), ((0.06, 1e-4), (0.01, 4e-3))
    ):
        simulated = _simulated(
            learning_rate=learning_rate,
            gradient_noise=noise,
            fixed_time_s=fixed_s,
            sample_time_s=sample_s,
        )
        advice = _advice(recommend(simulated)[0])
        grid = [(2**b, 2.0**-r) for b in range(2, 11) for r in range(9)]
        target = 1.2 * min(simulated.loss_after_s(b, rate, horizon_s) for b, rate in grid)
        best_s = min(
            simulated.time_to_loss_s(b, rate, target, most_s=horizon_s) for b, rate in grid
        )
        ours_s = simulated.time_to_loss_s(
            advice.effective_batch_size, advice.learning_rate, target, most_s=10 * horizon_s
        )
        ratios.append(ours_s / best_s)
    assert max(ratios) <= 4
    assert statistics.geometric_mean(ratios) <= 1.35


def test_a_good_reference_is_not_made_worse(recommend: Recommend) -> None:
    advice = _advice(recommend(_simulated(learning_rate=0.5))[0])
    assert advice.expected_speedup_over_reference is not None
    assert advice.expected_speedup_over_reference >= 1
    assert advice.expected_speedup_interval is not None
    assert (
        advice.expected_speedup_interval.low
        <= advice.expected_speedup_over_reference
        <= advice.expected_speedup_interval.high
    )


@pytest.mark.parametrize("changes", [{}, {"target_loss": 0.06, "budget_s": 240.0, "max_trials": 6}])
def test_a_plan_made_again_from_any_part_of_its_log_goes_on_the_same(
    recommend: Recommend, changes: dict[str, float]
) -> None:
    request = a_request(memory_limit_bytes=_simulated().limit_bytes, **changes)
    answer, log = recommend(_simulated(), request)
    has_replicates = any(isinstance(e.command, Train) and e.command.replicate for e in log)
    assert has_replicates == ("target_loss" in changes)
    for length in (*range(0, len(log), 4), len(log)):
        simulated = _simulated()
        for entry in log[:length]:
            assert not isinstance(entry.command, RecallAnswers | Unknown)
            simulated.measure(entry.command)  # Checkpoints outlive a daemon.
        simulated.commands.clear()
        again, full = recommend(simulated, request, log=log[:length])
        assert full == log
        assert again == answer
        assert len(simulated.commands) == len(log) - length


def test_nothing_is_measured_twice(recommend: Recommend) -> None:
    _, log = recommend(_simulated())
    commands = [entry.command for entry in log]
    assert len(set(commands)) == len(commands)


def test_traces_that_are_too_optimistic_are_corrected_by_the_run(recommend: Recommend) -> None:
    simulated = _simulated(hidden_factor=1.08)
    advice = _advice(recommend(simulated)[0])
    true = simulated.true_largest()
    assert 0.9 * true <= advice.max_micro_batch_size <= true
    assert advice.verified
    assert advice.search.out_of_memory_count >= 1


def test_a_batch_that_does_not_fit_is_accumulated_exactly(recommend: Recommend) -> None:
    simulated = _simulated(limit_bytes=(80 << 20) + 1)
    request = a_request(memory_limit_bytes=simulated.limit_bytes, effective_batch_size=96)
    advice = _advice(recommend(simulated, request)[0])
    assert advice.effective_batch_size == 96
    assert advice.accumulation_steps > 1
    assert advice.micro_batch_size <= simulated.true_largest()
    assert advice.verified


def test_an_effective_batch_that_cannot_be_split_is_refused(recommend: Recommend) -> None:
    simulated = _simulated()
    request = a_request(
        memory_limit_bytes=simulated.limit_bytes, effective_batch_size=30, world_size=4
    )
    answer, _ = recommend(simulated, request)
    assert isinstance(answer, Refusal)
    assert answer.code is RefusalCode.NO_FIT
    assert "30" in answer.message


def test_replicas_divide_the_batch(recommend: Recommend) -> None:
    simulated = _simulated()
    request = a_request(memory_limit_bytes=simulated.limit_bytes, world_size=4)
    advice = _advice(recommend(simulated, request)[0])
    assert advice.world_size == 4
    assert advice.effective_batch_size % 4 == 0
    assert any("exchange gradients" in caveat.text for caveat in advice.caveats)


def test_a_model_that_does_not_fit_is_refused_with_the_numbers(recommend: Recommend) -> None:
    answer, _ = recommend(_simulated(limit_bytes=10 << 20))
    assert isinstance(answer, Refusal)
    assert answer.code is RefusalCode.NO_FIT
    assert "10 MiB" in answer.message


def test_no_trials_means_no_trials(recommend: Recommend) -> None:
    simulated = _simulated()
    request = a_request(memory_limit_bytes=simulated.limit_bytes, max_trials=0)
    answer, log = recommend(simulated, request)
    advice = _advice(answer)
    assert advice.lr_evidence is Evidence.RULE
    assert advice.verified
    assert advice.confidence is Confidence.LOW
    assert not any(isinstance(e.command, Train) and e.command.trial for e in log)


def test_no_more_trials_than_asked_for(recommend: Recommend) -> None:
    simulated = _simulated()
    request = a_request(memory_limit_bytes=simulated.limit_bytes, max_trials=3)
    advice = _advice(recommend(simulated, request)[0])
    assert advice.search.trial_count == 3


def test_synthetic_batches_give_a_rule_and_the_knee(recommend: Recommend) -> None:
    profile = a_profile(
        dataset_size=None,
        evaluation_size=0,
        is_synthetic=True,
        reference_batch_size=None,
        reference_learning_rate=None,
    )
    answer, log = recommend(_simulated(profile=profile))
    advice = _advice(answer)
    assert advice.lr_evidence is Evidence.RULE
    assert advice.steps_per_epoch is None
    assert not any(isinstance(entry.command, Train) for entry in log)
    assert advice.effective_batch_size >= 512


def test_a_card_that_is_not_here_is_predicted_for_and_says_so(recommend: Recommend) -> None:
    device = a_gpu(present=False, free_bytes=None, name="A card elsewhere")
    answer, log = recommend(_simulated(), a_request(device="a-card"), device)
    advice = _advice(answer)
    assert not advice.verified
    assert advice.samples_per_s is None
    assert any("Predicted, not run" in caveat.text for caveat in advice.caveats)
    assert {type(entry.command) for entry in log[1:]} == {TraceMemory}


def test_a_cpu_without_a_limit_is_not_filled_to_the_limit(recommend: Recommend) -> None:
    answer, log = recommend(_simulated(limit_bytes=1 << 40), a_request(), a_device())
    assert not any(isinstance(entry.command, RunStep) for entry in log)
    assert any("predicted, not run" in caveat.text for caveat in _advice(answer).caveats)


def test_a_diverging_reference_is_said_and_bettered(recommend: Recommend) -> None:
    advice = _advice(recommend(_simulated(learning_rate=64.0))[0])
    assert any("reference recipe diverged" in caveat.text for caveat in advice.caveats)
    assert advice.learning_rate < 4
    assert advice.lr_evidence is Evidence.MEASURED


def test_a_busy_machine_cuts_rungs_short_and_keeps_the_budget(recommend: Recommend) -> None:
    answer, log = recommend(_simulated(wall_factor=60.0))
    advice = _advice(answer)
    assert advice.verified
    assert sum(entry.wall_s for entry in log) <= 63
    assert any("busy machine" in caveat.text for caveat in advice.caveats)


@pytest.mark.parametrize("wall_factor", [8.0, 20.0, 60.0])
def test_a_machine_that_is_far_too_slow_still_compares_settings(
    recommend: Recommend, wall_factor: float
) -> None:
    advice = _advice(recommend(_simulated(wall_factor=wall_factor))[0])
    assert advice.search.trial_count > 1
    assert advice.expected_speedup_over_reference is not None
    assert advice.expected_speedup_over_reference > 1
    assert not any(ONLY_THE_REFERENCE in caveat.text for caveat in advice.caveats)


def test_an_answer_that_compares_nothing_says_so(recommend: Recommend) -> None:
    request = a_request(memory_limit_bytes=_simulated().limit_bytes)
    _, log = recommend(_simulated(), request)
    first_training = next(n for n, entry in enumerate(log) if isinstance(entry.command, Train))
    for max_trials in (None, 1):
        asked = replace(request, max_trials=max_trials)
        chooser = Chooser(LogView(asked, (a_device(),), log[: first_training + 1]))
        choice = chooser.choice
        assert choice is not None
        told = caveats(chooser.view, choice, chooser)
        assert any(ONLY_THE_REFERENCE in caveat.text for caveat in told) is (max_trials is None)


@pytest.mark.parametrize("wait_share", [0.02, 0.8])
def test_timings_of_processors_that_others_had_are_said_to_be(
    recommend: Recommend, wait_share: float
) -> None:
    advice = _advice(recommend(_simulated(wait_share=wait_share))[0])
    told = any("CPU contention" in caveat.text for caveat in advice.caveats)
    assert told is (wait_share > 0.5)


def test_measuring_noise_for_long_is_no_sign_of_a_busy_machine(recommend: Recommend) -> None:
    trial_counts = []
    for noise_factor in (1.0, 4.0):
        request = a_request(memory_limit_bytes=_simulated().limit_bytes)
        answer, log = recommend(_simulated(noise_factor=noise_factor), request)
        advice = _advice(answer)
        reference, *_ = TrialSearch(LogView(request, (a_device(),), log)).trials.all
        assert reference.was_cut is (noise_factor > 1)
        assert len(reference.runs) > 1, "the reference went no further"
        assert not any("busy machine" in caveat.text for caveat in advice.caveats)
        assert sum(entry.wall_s for entry in log) <= 63
        trial_counts.append(advice.search.trial_count)
    assert trial_counts[1] >= trial_counts[0] // 2


@pytest.mark.parametrize("objective", list(Objective))
def test_every_objective_has_an_answer_that_was_run(
    recommend: Recommend, objective: Objective
) -> None:
    simulated = _simulated()
    request = a_request(memory_limit_bytes=simulated.limit_bytes, objective=objective)
    advice = _advice(recommend(simulated, request)[0])
    assert advice.verified


def test_objectives_pull_the_way_they_say(recommend: Recommend) -> None:
    simulated = _simulated()

    def ask(objective: Objective) -> Advice:
        request = a_request(memory_limit_bytes=simulated.limit_bytes, objective=objective)
        return _advice(recommend(_simulated(), request)[0])

    fastest = ask(Objective.THROUGHPUT)
    thrifty = ask(Objective.SAMPLES)
    lean = ask(Objective.MEMORY)
    usual = ask(Objective.TIME)
    assert fastest.samples_per_s is not None
    assert usual.samples_per_s is not None
    assert fastest.samples_per_s >= usual.samples_per_s
    assert thrifty.effective_batch_size <= usual.effective_batch_size
    assert lean.predicted_peak_bytes is not None
    assert usual.predicted_peak_bytes is not None
    assert lean.predicted_peak_bytes <= usual.predicted_peak_bytes


def test_the_best_so_far_is_there_as_soon_as_memory_is_known(
    recommend: Recommend, planner: RecommendationPlanner
) -> None:
    simulated = _simulated()
    request = a_request(memory_limit_bytes=simulated.limit_bytes)
    _, log = recommend(simulated, request)
    begun = next(i for i, e in enumerate(log) if isinstance(e.command, TraceMemory))
    assert planner.best_so_far(planner.read(request, (a_device(),), log[:begun])) is None
    for length in range(begun + 1, len(log)):
        best = planner.best_so_far(planner.read(request, (a_device(),), log[:length]))
        assert best is not None
        assert not best.verified
    whole = planner.best_so_far(planner.read(request, (a_device(),), log))
    assert whole is not None
    assert whole.verified


def test_an_out_of_memory_in_a_trial_is_counted_and_survived(recommend: Recommend) -> None:
    simulated = _simulated()
    honest = simulated.measure

    def measure_failing_once(command: Train) -> object:
        entry = honest(command)
        if isinstance(entry.command, Train) and entry.command.trial == 2:
            return type(entry)(
                command=command, outcome=OutOfMemory(message="out of memory"), wall_s=0.1
            )
        return entry

    simulated.measure = measure_failing_once  # type: ignore[method-assign,assignment] # a fault
    answer, log = recommend(simulated)
    advice = _advice(answer)
    assert advice.search.out_of_memory_count == 1
    assert advice.verified
    assert advice.micro_batch_size < _first_failing(log)


def _first_failing(log: Log) -> int:
    return next(
        entry.command.micro_batch_size
        for entry in log
        if isinstance(entry.outcome, OutOfMemory) and isinstance(entry.command, Train)
    )


def test_when_every_loss_is_nan_the_rule_answers_and_says_so(recommend: Recommend) -> None:
    simulated = _simulated()
    honest = simulated.measure

    def measure_nan(command: object) -> object:
        entry = honest(command)  # type: ignore[arg-type] # any command
        if isinstance(entry.command, Train):
            run = TrainRun(step_count=1, sample_count=32, train_losses=(), diverged=True)
            return type(entry)(command=entry.command, outcome=run, wall_s=0.1)
        return entry

    simulated.measure = measure_nan  # type: ignore[method-assign,assignment] # a fault
    advice = _advice(recommend(simulated)[0])
    assert advice.lr_evidence is Evidence.RULE
    assert any("not finite in any trial" in caveat.text for caveat in advice.caveats)
