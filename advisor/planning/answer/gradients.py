"""What follows from the reference's gradients: where to clip, and whether the batch should grow."""

from __future__ import annotations

from collections.abc import Iterator

from bsadvise.model.advice import BatchStage, Evidence, GradientNormStatistics
from bsadvise.model.commands import REFERENCE_TRIAL, Train
from bsadvise.model.measurements import GradientNorms, TrainRun
from bsadvise.model.request import Objective

from advisor.estimators.gradient_clipping import carry_norm, norm_statistics
from advisor.planning.answer.batch_schedule import RungNoise, plan_batches
from advisor.planning.answer.choice import Choice, Chooser
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.semantics import is_loss_sum
from advisor.planning.trials.batch_sizes import noise_scale_of


def norms_of_reference(view: LogView) -> GradientNormStatistics | None:
    """Return the norms of its steps that were measured; None when they are too few.

    Of all of them: they shrink as a model learns, and what is no outlier at first must pass.
    """
    measured = [norms for _, _, norms in _measured(view)]
    raw_norms = [norm for norms in measured for norm in norms.raw_norms]
    found = norm_statistics(raw_norms, tuning=view.tuning.answer.clipping)
    if found is None:
        return None
    size = measured[0].big_batch_size
    factor = size if is_loss_sum(view) else 1  # Norms are measured of the mean's gradient.
    return GradientNormStatistics(
        effective_batch_size=size,
        step_count=len(raw_norms),
        median=factor * found.median,
        percentile_90=factor * found.percentile_90,
    )


def clip_gradient_norm(view: LogView, chooser: Chooser, choice: Choice) -> float | None:
    """Return where to clip steps of the chosen batch; None where no norms were measured.

    For Adam's kin the noise scale is that of its steps, not of its gradients: near enough to move
    the threshold by a root of it. Where none is known, the norms are taken as they are.
    """
    norms, noise = norms_of_reference(view), chooser.batches.noise_scale
    if norms is None:
        return None
    clip = carry_norm(
        norms.percentile_90,
        norms.effective_batch_size,
        choice.split.effective_batch_size,
        0.0 if noise is None else noise.value,
    )
    if is_loss_sum(view):
        clip *= choice.split.effective_batch_size / norms.effective_batch_size
    return float(f"{clip:.2g}")


def batch_schedule(view: LogView, chooser: Chooser, choice: Choice) -> tuple[BatchStage, ...]:
    """Return the stages of a growing batch, where trials chose one that is free to grow."""
    request, dataset_size = view.request, view.profile.dataset_size
    is_free = request.objective is Objective.TIME and request.effective_batch_size is None
    if choice.evidence is not Evidence.MEASURED or dataset_size is None or not is_free:
        return ()
    cost, measured = chooser.search.cost, list(_measured(view))

    def step_time_s(size: int) -> float:
        split = cost.split(size)
        return float("inf") if split is None else cost.step_time_s(split)

    return plan_batches(
        [rung for command, _, norms in measured for rung in _rung_noise(view, command, norms)],
        horizon_samples=max((c.first_sample + r.sample_count for c, r, _ in measured), default=0),
        reference_batch_size=chooser.batches.reference,
        batch_size=choice.split.effective_batch_size,
        batch_sizes=chooser.batches.worth_trying(),
        step_time_s=step_time_s,
        dataset_size=dataset_size,
        min_saving=view.tuning.answer.advice.min_schedule_saving,
    )


def _measured(view: LogView) -> Iterator[tuple[Train, TrainRun, GradientNorms]]:
    """Yield the rungs of the reference in which gradients were measured, in order."""
    for command, run in view.figures(Train, TrainRun):
        is_reference = command.trial_number == REFERENCE_TRIAL
        if is_reference and run.gradient_norms is not None:
            yield command, run, run.gradient_norms


def _rung_noise(view: LogView, command: Train, norms: GradientNorms) -> Iterator[RungNoise]:
    noise = noise_scale_of(norms, view.tuning.estimators.noise_scale)
    if noise is not None:
        yield RungNoise(command.first_sample, noise)
