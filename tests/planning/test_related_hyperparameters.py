"""What goes with a batch: as trained, by rule, and by rule of thumb, each told apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from bsadvise.model.advice import Advice, Companion, Evidence
from bsadvise.model.commands import Train
from bsadvise.model.measurements import Log, Measurement, TrainRun
from bsadvise.model.request import AdviceRequest
from bsadvise.model.task import OptimizerFamily, OptimizerProfile

from advisor.planning.answer.batch_caveats import about_batch
from advisor.planning.answer.choice import Choice, Chooser
from advisor.planning.answer.gradients import batch_schedule, clip_gradient_norm, norms_of_reference
from advisor.planning.answer.related_hyperparameters import (
    related_hyperparameters,
    rules_of_thumb,
    warmup_steps,
)
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from tests.planning.conftest import Recommend
from tests.support.builders import a_device, a_profile, a_request, an_optimizer
from tests.support.simulated_device import SimulatedDevice

SGD = OptimizerProfile(optimizer_name="SGD", family=OptimizerFamily.SGD, momentum=0.9)


@dataclass
class Told:
    """A log and what can be asked of it. The reference is batch 32 at rate 0.01."""

    view: LogView

    @property
    def chooser(self) -> Chooser:
        return Chooser(self.view)

    def companions(self, batch_size: int, rate: float, evidence: Evidence) -> dict[str, Companion]:
        choice = a_choice(batch_size, rate, evidence)
        return {one.name: one for one in related_hyperparameters(self.view, self.chooser, choice)}


Tell = Callable[..., Told]


def a_choice(
    batch_size: int, rate: float, evidence: Evidence = Evidence.RULE, *, micro: int | None = None
) -> Choice:
    micro = micro or batch_size
    return Choice(Split(micro, batch_size // micro, 1), rate, evidence)


@pytest.fixture
def tell(recommend: Recommend) -> Tell:
    """Return a function that makes the log of a recommendation without trials."""

    def run(
        optimizer: OptimizerProfile | None = None,
        request: AdviceRequest | None = None,
        device: dict[str, float] | None = None,
        **profile: object,
    ) -> Told:
        simulated = a_device_that_trains(optimizer or an_optimizer(), device, **profile)
        request = request or a_request(memory_limit_bytes=simulated.limit_bytes, max_trials=0)
        _, log = recommend(simulated, request)
        return Told(LogView(request, (a_device(),), log))

    return run


def a_device_that_trains(
    optimizer: OptimizerProfile, device: dict[str, float] | None = None, **profile: object
) -> SimulatedDevice:
    figures = {"fixed_time_s": 0.02, "sample_time_s": 2e-4} | (device or {})
    return SimulatedDevice(
        profile=a_profile(
            optimizer=optimizer, reference_batch_size=32, reference_learning_rate=0.01, **profile
        ),
        **figures,  # type: ignore[arg-type] # any figure
    )


def test_adamw_keeps_its_time_scale_and_half_lives(tell: Tell) -> None:
    found = tell().companions(128, 0.02, Evidence.MEASURED)
    assert set(found) == {"weight_decay", "beta1", "beta2"}
    assert (found["weight_decay"].value, found["weight_decay"].trained_value) == (0.02, 0.01)
    assert found["beta1"].value == pytest.approx(0.9**4, abs=1e-3)
    assert found["beta2"].value == pytest.approx(0.999**4, abs=1e-5)
    assert all("arXiv" in one.rule for one in found.values())


def test_a_smaller_batch_leaves_beta1_alone(tell: Tell) -> None:
    found = tell().companions(4, 0.004, Evidence.MEASURED)
    assert "beta1" not in found
    assert found["beta2"].value == pytest.approx(0.999 ** (1 / 8), abs=1e-6)


def test_what_hardly_differs_is_not_told(tell: Tell) -> None:
    assert tell().companions(36, 0.011, Evidence.MEASURED) == {}


def test_adam_has_no_rule_for_decay_that_adds_to_the_gradient(tell: Tell) -> None:
    adam = an_optimizer(optimizer_name="Adam")
    assert "weight_decay" not in tell(adam).companions(128, 0.02, Evidence.MEASURED)


def test_an_epsilon_that_matters_falls_with_the_root_of_the_batch(tell: Tell) -> None:
    found = tell(an_optimizer(epsilon=1e-3)).companions(128, 0.02, Evidence.MEASURED)
    assert found["epsilon"].value == pytest.approx(5e-4)


def test_momentum_grows_only_for_a_rate_by_rule_that_lags_behind(tell: Tell) -> None:
    told = tell(SGD)
    lagging = told.companions(128, 0.02, Evidence.RULE)
    assert lagging["momentum"].value == pytest.approx(0.95)
    assert "momentum" not in told.companions(128, 0.04, Evidence.RULE)
    assert "momentum" not in told.companions(128, 0.02, Evidence.MEASURED)


@pytest.mark.parametrize("optimizer", [SGD, an_optimizer()], ids=["sgd", "adamw"])
def test_a_rate_by_rule_is_held_against_the_form_past_the_noise_scale(
    tell: Tell, optimizer: OptimizerProfile
) -> None:
    told = tell(optimizer)
    noise = told.chooser.batches.noise_scale
    assert noise is not None
    size = 32 * int(100 * max(1.0, noise.value / 32))
    found = told.companions(size, 1.0, Evidence.RULE)["learning_rate"]
    ratio = size / 32 if optimizer is SGD else (size / 32) ** 0.5
    expected = 0.01 * ratio * (noise.value + 32) / (noise.value + size)
    assert found.value == pytest.approx(expected, rel=0.01)
    assert "learning_rate" not in told.companions(size, 1.0, Evidence.MEASURED)


def test_a_batch_may_grow_in_place_of_decays_where_a_larger_one_is_cheaper(tell: Tell) -> None:
    cheaper = tell(SGD).companions(32, 0.01, Evidence.MEASURED)
    assert cheaper["batch_size_at_decay"].value == 6_000 // 32 * 32
    saturated = tell(SGD, device={"fixed_time_s": 1e-6, "sample_time_s": 1e-3})
    assert "batch_size_at_decay" not in saturated.companions(32, 0.01, Evidence.MEASURED)
    small = tell(SGD, dataset_size=400)
    assert "batch_size_at_decay" not in small.companions(32, 0.01, Evidence.MEASURED)


def test_no_companion_is_made_of_settings_that_make_no_sense(tell: Tell) -> None:
    odd = an_optimizer(weight_decay=-1.0, betas=(-0.5, 1.0), epsilon=None)
    assert tell(odd).companions(512, 0.02, Evidence.MEASURED) == {}
    other = an_optimizer(optimizer_name="Lion", family=OptimizerFamily.OTHER)
    assert tell(other).companions(512, 0.02, Evidence.MEASURED) == {}


@pytest.mark.parametrize(
    ("optimizer", "rate", "steps_per_epoch", "steps"),
    [
        (an_optimizer(), 0.02, 100, 2000),
        (an_optimizer(betas=(0.9, 0.95)), 0.02, None, 40),
        (an_optimizer(betas=()), 0.02, 100, None),
        (an_optimizer(betas=(0.9, 1.0)), 0.02, 100, None),
        (SGD, 0.04, 100, 500),
        (SGD, 0.01, 100, 0),
        (SGD, 0.04, None, None),
    ],
)
def test_warm_up_follows_the_rule_only_where_nothing_was_trained(
    tell: Tell,
    optimizer: OptimizerProfile,
    rate: float,
    steps_per_epoch: int | None,
    steps: int | None,
) -> None:
    view = tell(optimizer).view
    assert warmup_steps(view, a_choice(128, rate), steps_per_epoch) == steps
    trained = a_choice(128, rate, Evidence.MEASURED)
    assert warmup_steps(view, trained, steps_per_epoch) == 0


def test_gradients_are_clipped_where_their_norms_were(tell: Tell) -> None:
    told = tell(SGD)
    norms, noise = norms_of_reference(told.view), told.chooser.batches.noise_scale
    assert norms is not None
    assert noise is not None
    assert norms.effective_batch_size == 32
    assert norms.median <= norms.percentile_90
    clips = {
        size: clip_gradient_norm(told.view, told.chooser, a_choice(size, 0.01))
        for size in (8, 32, 128)
    }
    assert clips[32] == pytest.approx(norms.percentile_90, rel=0.05)
    expected = norms.percentile_90 * ((1 + noise.value / 8) / (1 + noise.value / 32)) ** 0.5
    assert clips[8] == pytest.approx(expected, rel=0.05)
    assert clips[128] is not None
    assert clips[128] <= norms.percentile_90 * 1.05


def test_what_is_usual_at_first_is_not_clipped_because_norms_shrink(tell: Tell) -> None:
    view = tell(SGD).view
    early, late = tuple(1.0 + 0.01 * step for step in range(30)), (0.01,) * 60
    log = [_with_raw_norms(entry, early) for entry in view.log]
    (later,) = (entry for entry in (_with_raw_norms(e, late) for e in log) if entry not in log)
    norms = norms_of_reference(replace(view, log=(*log, later)))
    assert norms is not None
    assert norms.step_count == len(early) + len(late)
    assert norms.median == 0.01
    assert norms.percentile_90 > early[len(early) // 2]


def test_logs_from_before_norms_were_kept_give_no_clipping(tell: Tell) -> None:
    told = tell(SGD)
    older = Told(
        replace(told.view, log=tuple(_with_raw_norms(entry, ()) for entry in told.view.log))
    )
    assert norms_of_reference(older.view) is None
    assert clip_gradient_norm(older.view, older.chooser, a_choice(32, 0.01)) is None


def _with_raw_norms(entry: Measurement, raw_norms: tuple[float, ...]) -> Measurement:
    run = entry.outcome
    if not isinstance(run, TrainRun) or run.gradient_norms is None:
        return entry
    norms = replace(run.gradient_norms, raw_norms=raw_norms)
    return replace(entry, outcome=replace(run, gradient_norms=norms))


def test_a_schedule_comes_of_noise_that_grows_from_stretch_to_stretch(
    recommend: Recommend,
) -> None:
    simulated = a_device_that_trains(SGD)
    request = a_request(memory_limit_bytes=simulated.limit_bytes, budget_s=120)
    _, log = recommend(simulated, request)
    view = LogView(request, (a_device(),), _with_noise(log, [2.0, 4_000.0]))
    choice = a_choice(128, 0.02, Evidence.MEASURED)
    stages = batch_schedule(view, Chooser(view), choice)
    sizes = [stage.effective_batch_size for stage in stages]
    assert len(sizes) > 1
    assert sizes == sorted(sizes)
    flat = LogView(request, (a_device(),), _with_noise(log, [60.0, 60.0]))
    assert batch_schedule(flat, Chooser(flat), choice) == ()
    by_rule = replace(choice, evidence=Evidence.RULE)
    assert batch_schedule(view, Chooser(view), by_rule) == ()
    fixed = replace(view, request=replace(request, effective_batch_size=128))
    assert batch_schedule(fixed, Chooser(fixed), choice) == ()


def _with_noise(log: Log, noises: list[float]) -> Log:
    """Return the log as if the reference's first stretches had had these noise scales."""
    entries: list[Measurement] = []
    left = iter(noises)
    for entry in log:
        command, run = entry.command, entry.outcome
        is_reference = isinstance(command, Train) and command.trial in (None, 0)
        noise = next(left, None) if is_reference else None
        if noise is not None and isinstance(run, TrainRun):
            wobble = (0.99, 1.01, 1.0, 0.995, 1.005)
            norms = replace(
                next(e.outcome.gradient_norms for e in log
                     if isinstance(e.outcome, TrainRun) and e.outcome.gradient_norms),
                small_squared_norms=tuple(w * (1 + noise / 16) for w in wobble),
                big_squared_norms=tuple(w * (1 + noise / 32) for w in wobble),
            )  # fmt: skip
            entries.append(replace(entry, outcome=replace(run, gradient_norms=norms)))
        else:
            entries.append(entry)
    assert next(left, None) is None, "the reference has too few stretches"
    return tuple(entries)


@pytest.mark.parametrize(("micro", "words"), [(512, 1), (128, 0)])
def test_batch_norm_over_many_samples_is_told_of(tell: Tell, micro: int, words: int) -> None:
    told = tell(SGD, batch_norm_layer_count=3)
    said = [
        caveat
        for caveat in about_batch(told.view, a_choice(micro, 0.01), told.chooser)
        if "1705.08741" in caveat.text
    ]
    assert len(said) == words


@pytest.mark.parametrize(
    ("noise", "fixed_time_s", "words"),
    [(1.0, 1e-4, "of the time to the target"), (1e6, 1.0, "that is worth it")],
)
def test_a_batch_asked_for_that_must_accumulate_is_judged(
    tell: Tell, noise: float, fixed_time_s: float, words: str
) -> None:
    request = a_request(
        memory_limit_bytes=1 << 30, effective_batch_size=2048, max_trials=0, budget_s=600
    )
    device = {"gradient_noise": noise, "fixed_time_s": fixed_time_s}
    told = tell(SGD, request, device)
    choice = a_choice(2048, 0.01, micro=512)
    (said,) = about_batch(told.view, choice, told.chooser)
    assert "2,048" in said.text
    assert "4 parts" in said.text
    assert words in said.text
    free = replace(told.view, request=replace(request, effective_batch_size=None))
    assert list(about_batch(free, choice, Chooser(free))) == []


def test_no_rule_of_thumb_is_larger_than_the_data(tell: Tell) -> None:
    sizes = [rule.effective_batch_size for rule in rules_of_thumb(tell(SGD, dataset_size=400).view)]
    assert sizes == [32, 256, 1]


def test_an_answer_carries_them_all(recommend: Recommend) -> None:
    simulated = a_device_that_trains(an_optimizer())
    advice, _ = recommend(simulated)
    assert isinstance(advice, Advice)
    assert advice.warmup_steps == 0
    assert (advice.weight_decay, advice.betas) == (0.01, (0.9, 0.999))
    assert advice.gradient_norm is not None
    assert advice.clip_gradient_norm is not None
    thumbs = {rule.rule: rule.effective_batch_size for rule in advice.rules_of_thumb}
    assert list(thumbs.values()) == [32, 512, 120]
