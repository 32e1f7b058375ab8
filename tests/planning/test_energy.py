"""The objectives energy and cost, and the figures that every answer gives of both."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bsadvise.model.advice import Advice
from bsadvise.model.commands import TimeSteps
from bsadvise.model.measurements import OutOfMemory
from bsadvise.model.request import Objective
from bsadvise.model.task import OptimizerFamily, OptimizerProfile

from advisor.planning.answer.choice import Chooser
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from advisor.planning.throughput.energy import (
    about_energy,
    energy_j,
    step_power_w,
    training_cost,
)
from tests.planning.conftest import Recommend
from tests.support.builders import a_device, a_measurement, a_profile, a_request
from tests.support.simulated_device import SimulatedDevice

_TARGET = 0.06
Power = Callable[[int], float] | None


def _hungry(size: int) -> float:
    """Draw more the larger the batch: what large batches save in time they lose in power."""
    return 20.0 + 4.0 * size


def _simulated(power_w: Power) -> SimulatedDevice:
    optimizer = OptimizerProfile(optimizer_name="SGD", family=OptimizerFamily.SGD, momentum=0.0)
    profile = a_profile(optimizer=optimizer, reference_batch_size=32, reference_learning_rate=0.05)
    return SimulatedDevice(profile=profile, fixed_time_s=0.02, sample_time_s=2e-4, power_w=power_w)


def _ask(recommend: Recommend, power_w: Power, **changes: object) -> Advice:
    simulated = _simulated(power_w)
    request = a_request(memory_limit_bytes=simulated.limit_bytes, **changes)
    answer, _ = recommend(simulated, request)
    assert isinstance(answer, Advice)
    return answer


def test_a_hungry_device_is_given_a_smaller_batch_for_energy(recommend: Recommend) -> None:
    fastest = _ask(recommend, _hungry, target_loss=_TARGET)
    thriftiest = _ask(recommend, _hungry, objective=Objective.ENERGY, target_loss=_TARGET)
    assert thriftiest.verified
    assert thriftiest.effective_batch_size < fastest.effective_batch_size
    simulated = _simulated(_hungry)

    def spent_j(advice: Advice) -> float:
        size, rate = advice.effective_batch_size, advice.learning_rate
        return _hungry(size) * simulated.time_to_loss_s(size, rate, _TARGET)

    assert spent_j(thriftiest) < 0.9 * spent_j(fastest)
    assert not any("energy" in caveat.text for caveat in thriftiest.caveats)


def test_the_trial_of_the_least_energy_is_chosen(recommend: Recommend) -> None:
    simulated = _simulated(_hungry)
    request = a_request(
        memory_limit_bytes=simulated.limit_bytes,
        objective=Objective.ENERGY,
        target_loss=_TARGET,
        budget_s=120,
    )
    _, log = recommend(simulated, request)
    chooser = Chooser(LogView(request, (a_device(),), log))
    choice = chooser.choice
    assert choice is not None
    assert choice.trial is not None
    spent_j = {}
    for trial in chooser.sound:
        time_s, joules = chooser.time_to_target_s(trial), chooser.energy_to_target_j(trial)
        assert (time_s is None) == (joules is None)
        if time_s is not None and joules is not None:
            # Read at the sizes beside it, and so near what is planted.
            planted_j = time_s * _hungry(trial.split.micro_batch_size)
            assert joules == pytest.approx(planted_j, rel=0.05)
            spent_j[trial.number] = joules
    assert len(spent_j) > 3
    assert choice.trial.number == min(spent_j, key=spent_j.__getitem__)


def test_a_trial_without_rivals_is_said_to_have_none(recommend: Recommend) -> None:
    simulated = _simulated(_hungry)
    request = a_request(memory_limit_bytes=simulated.limit_bytes, objective=Objective.ENERGY)
    answer, log = recommend(simulated, request)
    chooser = Chooser(LogView(request, (a_device(),), log))
    reached = [t for t in chooser.sound if chooser.time_to_target_s(t) is not None]
    assert isinstance(answer, Advice)
    told = any("none to compare its energy" in caveat.text for caveat in answer.caveats)
    assert told == (len(reached) == 1)


@pytest.mark.parametrize(
    ("sizes", "reached_count", "words"),
    [
        ([8, 16], 0, "No trial came to the target"),
        ([8, 16], 1, "Only one trial came to the target"),
        ([8, 16], 2, ""),
        ([8], 2, "could not be read at more than one batch"),
        ([], 2, "could not be read at all"),
    ],
)
def test_caveats_say_how_far_it_is_the_least_energy(
    sizes: list[int], reached_count: int, words: str
) -> None:
    simulated = _simulated(_hungry)
    log = tuple(simulated.measure(_timing(size)) for size in sizes)
    for objective in (Objective.ENERGY, Objective.TIME):
        view = LogView(a_request(objective=objective), (a_device(),), log)
        caveats = list(about_energy(view, reached_count=reached_count))
        if words and objective is Objective.ENERGY:
            (caveat,) = caveats
            assert words in caveat.text
        else:
            assert not caveats


def test_where_no_power_can_be_read_energy_is_time_and_that_is_said(recommend: Recommend) -> None:
    fastest = _ask(recommend, None)
    thriftiest = _ask(recommend, None, objective=Objective.ENERGY)
    assert _setting(thriftiest) == _setting(fastest)
    assert any("could not be read" in caveat.text for caveat in thriftiest.caveats)
    assert not any("could not be read" in caveat.text for caveat in fastest.caveats)
    assert (fastest.mean_power_w, fastest.energy_per_epoch_j) == (None, None)


def test_without_trials_the_batch_is_said_to_be_for_time(recommend: Recommend) -> None:
    advice = _ask(recommend, _hungry, objective=Objective.ENERGY, max_trials=0)
    assert any("chosen for time, not for energy" in caveat.text for caveat in advice.caveats)


def test_cost_ranks_as_time_does(recommend: Recommend) -> None:
    fastest = _ask(recommend, _hungry)
    cheapest = _ask(recommend, _hungry, objective=Objective.COST, device_hour_price=3.6)
    assert _setting(cheapest) == _setting(fastest)
    assert fastest.cost_per_epoch is None
    assert cheapest.time_per_epoch_s is not None
    assert cheapest.cost_per_epoch == pytest.approx(cheapest.time_per_epoch_s / 1000)


@pytest.mark.parametrize("world_size", [1, 4])
def test_an_answer_tells_power_energy_and_cost(recommend: Recommend, world_size: int) -> None:
    advice = _ask(recommend, lambda size: 250.0, world_size=world_size, device_hour_price=7.2)
    assert advice.time_per_epoch_s is not None
    assert advice.mean_power_w == pytest.approx(250.0)
    device_s = world_size * advice.time_per_epoch_s
    assert advice.energy_per_epoch_j == pytest.approx(250.0 * device_s)
    assert advice.cost_per_epoch == pytest.approx(device_s / 500)


def test_a_price_of_nothing_costs_nothing() -> None:
    view = LogView(a_request(device_hour_price=0.0), (a_device(),), ())
    assert training_cost(view, Split(8, 1, 2), 60.0) == 0.0


def test_power_is_that_of_the_micro_batch_of_steps_that_were_timed() -> None:
    simulated = _simulated(_hungry)

    log = tuple(simulated.measure(_timing(size)) for size in (8, 32))
    failed = a_measurement(_timing(64), OutOfMemory(message="none left"))
    view = LogView(a_request(), (a_device(),), (*log, failed))
    assert step_power_w(view, Split(16, 4, 1)) == pytest.approx(_hungry(16))
    assert step_power_w(view, Split(1, 1, 1)) == pytest.approx(_hungry(8))
    assert step_power_w(view, Split(128, 1, 1)) == pytest.approx(_hungry(32))
    assert energy_j(view, Split(32, 1, 2), 10.0) == pytest.approx(20.0 * _hungry(32))
    assert step_power_w(LogView(a_request(), (a_device(),), ()), Split(8, 1, 1)) is None


@pytest.mark.parametrize(
    ("objective", "least_s"), [(Objective.ENERGY, 0.4), (Objective.TIME, 0.05)]
)
def test_power_is_given_the_time_that_a_counter_needs(
    recommend: Recommend, objective: Objective, least_s: float
) -> None:
    simulated = _simulated(_hungry)
    request = a_request(memory_limit_bytes=simulated.limit_bytes, objective=objective, budget_s=6.0)
    recommend(simulated, request)
    measured_s = {c.measure_s for c in simulated.commands if isinstance(c, TimeSteps)}
    assert measured_s == {least_s}


def _setting(advice: Advice) -> tuple[int, int, float]:
    return advice.micro_batch_size, advice.accumulation_steps, advice.learning_rate


def _timing(size: int) -> TimeSteps:
    return TimeSteps(time_limit_s=1.0, micro_batch_size=size, measure_s=0.5)
