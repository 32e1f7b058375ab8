"""What an answer rests on: true to the log, and there as far as the log goes."""

from __future__ import annotations

import math

import pytest
from bsadvise.model.advice import Advice
from bsadvise.model.commands import RecallAnswers, stage_of
from bsadvise.model.explanation import Explanation
from bsadvise.model.measurements import Log, LogEstimate, Measurement, Prior

from advisor.planning.answer.explanation import explain
from advisor.planning.evidence.step import Commands
from advisor.planning.planner import RecommendationPlanner
from advisor.planning.trials.trial_search import TrialSearch
from advisor.planning.tuning.tuning import Tuning
from tests.planning.conftest import Recommend
from tests.support.builders import a_device, a_request
from tests.support.simulated_device import SimulatedDevice

LIMIT_BYTES = SimulatedDevice().limit_bytes


@pytest.fixture(params=[None, 0.06])
def target_loss(request: pytest.FixtureRequest) -> float | None:
    target: float | None = request.param
    return target


@pytest.fixture
def searched(recommend: Recommend, target_loss: float | None) -> tuple[Advice, Log]:
    request = a_request(memory_limit_bytes=LIMIT_BYTES, target_loss=target_loss, budget_s=90.0)
    answer, log = recommend(SimulatedDevice(), request)
    assert isinstance(answer, Advice)
    return answer, log


def explained(planner: RecommendationPlanner, log: Log, target_loss: float | None) -> Explanation:
    request = a_request(memory_limit_bytes=LIMIT_BYTES, target_loss=target_loss, budget_s=90.0)
    return explain(planner.read(request, (a_device(),), log))


def test_every_step_has_the_reason_that_it_was_given_with(
    planner: RecommendationPlanner, searched: tuple[Advice, Log], target_loss: float | None
) -> None:
    _, log = searched
    request = a_request(memory_limit_bytes=LIMIT_BYTES, target_loss=target_loss, budget_s=90.0)
    reasons = explained(planner, log, target_loss).reasons
    assert len(reasons) == len(log)
    for length in range(0, len(log), 7):
        plan = planner.plan(planner.read(request, (a_device(),), log[:length]))
        assert isinstance(plan, Commands)
        assert plan.reasons == (reasons[length],)
    assert len(set(reasons)) > len({stage_of(entry.command) for entry in log})


def test_ranks_are_of_the_sound_trials_and_the_recommended_one_is_tied_with_the_best(
    planner: RecommendationPlanner, searched: tuple[Advice, Log], target_loss: float | None
) -> None:
    advice, log = searched
    trials = explained(planner, log, target_loss).trials
    assert len(trials) == advice.search.trial_count
    ranked = sorted((t for t in trials if t.rank is not None), key=lambda t: t.rank or 0)
    assert [trial.rank for trial in ranked] == list(range(1, len(ranked) + 1))
    behind = [trial.behind_doublings for trial in ranked]
    assert behind[0] == 0
    assert behind == sorted(behind, key=lambda doublings: doublings or 0)
    assert ranked[0].is_tied
    chosen = next(
        trial
        for trial in trials
        if (trial.effective_batch_size, trial.learning_rate)
        == (advice.effective_batch_size, advice.learning_rate)
    )
    assert chosen.is_tied or chosen.rank == 1
    if target_loss is not None:
        assert any(trial.time_to_target_s is not None for trial in trials)


def test_what_was_fitted_lies_within_its_interval(
    planner: RecommendationPlanner, searched: tuple[Advice, Log], target_loss: float | None
) -> None:
    _, log = searched
    scaling = explained(planner, log, target_loss).scaling
    assert scaling is not None
    fits = (scaling.largest_rate, scaling.critical_batch_size, scaling.noise_scale)
    for fitted in fits:
        assert fitted.interval.low <= fitted.value <= fitted.interval.high
        assert fitted.interval.low > 0
    # Of one parameter a single value of the fit's grid may be all that agrees with the trials.
    assert any(fitted.interval.low < fitted.interval.high for fitted in fits)
    assert scaling.expected_regret >= 0
    assert scaling.suggested_batch_size >= 1
    assert scaling.suggested_rate > 0


def test_the_best_rate_of_a_batch_is_among_those_by_which_it_is_suggested(
    planner: RecommendationPlanner, searched: tuple[Advice, Log], target_loss: float | None
) -> None:
    _, log = searched
    scaling = explained(planner, log, target_loss).scaling
    assert scaling is not None
    sizes = [one.effective_batch_size for one in scaling.best_rates]
    assert sizes == sorted(set(sizes))
    for one in scaling.best_rates:
        assert 0 < one.learning_rate.interval.low <= one.learning_rate.interval.high
        assert one.relative_time.interval.low >= 1
    of = {one.effective_batch_size: one for one in scaling.best_rates}[scaling.suggested_batch_size]
    # The suggestion weighs all laws; the median of the best rates is not far from it.
    assert of.learning_rate.value == pytest.approx(scaling.suggested_rate, rel=1.0)
    assert of.relative_time.value <= 2 * min(o.relative_time.value for o in scaling.best_rates)


def test_it_says_as_much_as_the_log_does(
    planner: RecommendationPlanner, searched: tuple[Advice, Log], target_loss: float | None
) -> None:
    advice, log = searched
    before = explained(planner, (), target_loss)
    assert before == Explanation(tuning_digest=before.tuning_digest)
    assert before.tuning_digest == Tuning().digest()
    for length in range(1, len(log), 3):
        assert len(explained(planner, log[:length], target_loss).reasons) == length
    whole = explained(planner, log, target_loss)
    assert whole.memory is not None
    assert whole.memory.max_micro_batch_size == advice.max_micro_batch_size
    peaks = [point.peak_bytes for point in whole.memory.points]
    assert peaks == sorted(peaks)
    sizes = [point.micro_batch_size for point in whole.step_times]
    assert sizes == sorted(set(sizes))
    assert whole.noise_scales[-1].noise_scale == advice.noise_scale


def test_it_reads_the_models_that_the_answer_rests_on(
    planner: RecommendationPlanner, searched: tuple[Advice, Log], target_loss: float | None
) -> None:
    request = a_request(memory_limit_bytes=LIMIT_BYTES, target_loss=target_loss, budget_s=90.0)
    view = planner.read(request, (a_device(),), searched[1])
    assert planner.plan(view) == searched[0]
    curves = [trial.held_out for trial in explain(view).trials]
    for shown, trial in zip(curves, view.model(TrialSearch).trials.all, strict=True):
        points = zip(trial.curve.times_s, trial.curve.losses, strict=True)
        assert list(zip(shown.times_s, shown.losses, strict=True)) == [
            (time_s, loss) for time_s, loss in points if math.isfinite(loss)
        ]


RECALLED = Measurement(
    command=RecallAnswers(most_answers=8),
    outcome=Prior(
        answer_count=2,
        critical_batch_size=LogEstimate(median=80.0, log_deviation=0.7),
        largest_rate=LogEstimate(median=0.1, log_deviation=0.7),
    ),
    wall_s=0.0,
)


def test_what_earlier_answers_found_is_told_and_used(
    planner: RecommendationPlanner, searched: tuple[Advice, Log], target_loss: float | None
) -> None:
    _, log = searched
    without = explained(planner, log, target_loss)
    recalled = explained(planner, (RECALLED, *log), target_loss)
    assert without.prior is None
    assert recalled.prior == RECALLED.outcome
    assert recalled.reasons[0].startswith("Earlier answers")
    assert without.scaling is not None
    assert recalled.scaling is not None
    assert recalled.scaling.critical_batch_size != without.scaling.critical_batch_size


def test_a_search_teaches_what_it_measured_and_not_what_it_was_told(
    planner: RecommendationPlanner, searched: tuple[Advice, Log], target_loss: float | None
) -> None:
    _, log = searched
    request = a_request(memory_limit_bytes=LIMIT_BYTES, target_loss=target_loss, budget_s=90.0)

    def taught(entries: Log) -> Prior | None:
        return planner.prior_from(planner.read(request, (a_device(),), entries))

    assert taught(()) is None
    assert taught(log[:1]) is None
    found = taught(log)
    assert found is not None
    assert found.answer_count == 1
    assert taught((RECALLED, *log)) == found
