"""The answer, from a choice and the log that it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bsadvise.model.advice import Advice, Alternative, Confidence, Evidence, Interval
from bsadvise.model.commands import (
    TimeSteps,
)
from bsadvise.model.measurements import StepTimes

from advisor.estimators.timing import typical_interval_s, typical_time_s
from advisor.planning.answer.batch_caveats import about_loss, about_schedule
from advisor.planning.answer.budget_forecast import forecast_budget
from advisor.planning.answer.caveats import caveats
from advisor.planning.answer.choice import Choice, Chooser
from advisor.planning.answer.gradients import batch_schedule, clip_gradient_norm, norms_of_reference
from advisor.planning.answer.related_hyperparameters import (
    related_hyperparameters,
    rules_of_thumb,
    warmup_steps,
)
from advisor.planning.answer.script_check import script_runner
from advisor.planning.answer.search_cost import search
from advisor.planning.answer.speedup import Speedup
from advisor.planning.answer.stated_length import final_loss, training_horizon
from advisor.planning.answer.verification import verification_of
from advisor.planning.data.epoch import drop_last, steps_per_epoch
from advisor.planning.data.loading import loader_bottleneck
from advisor.planning.data.shuffle_plan import order_effect
from advisor.planning.evidence.budget import memory_budget
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.semantics import changes_weights, rule_in_words
from advisor.planning.memory.memory_model import MemoryModel
from advisor.planning.memory.memory_savings import saving_gains
from advisor.planning.throughput.energy import energy_j, step_power_w, training_cost
from advisor.planning.trials.stated_training import StatedTraining


def advise(chooser: Chooser, choice: Choice) -> Advice:
    """Return the answer for ``choice``, which ``chooser`` has made."""
    return _Adviser(chooser.view, chooser, choice).advice()


@dataclass(frozen=True)
class _Adviser:
    view: LogView
    chooser: Chooser
    choice: Choice

    @cached_property
    def memory(self) -> MemoryModel:
        return self.view.model(MemoryModel)

    def advice(self) -> Advice:
        view, choice = self.view, self.choice
        profile, split = view.profile, choice.split
        verification = verification_of(view, choice)
        is_verified = verification is not None and verification.is_finite
        has_failed = verification is not None and not verification.is_finite
        noise = self.chooser.batches.noise_scale
        horizon = training_horizon(view, choice)
        is_compared = not changes_weights(view)
        speedup = self._speedup() if is_compared else None
        step_time_s, rate_interval = self._pace()
        epoch_s = self._time_per_epoch_s()
        bottleneck, order = loader_bottleneck(view, split), order_effect(view)
        schedule = batch_schedule(view, self.chooser, choice)
        alternatives = tuple(self._alternatives())
        samples_per_s = split.effective_batch_size / step_time_s if step_time_s else None
        runner = script_runner(view, choice)
        check = None if runner is None else runner.check(samples_per_s, rate_interval)
        has_failed_script = runner is not None and runner.has_run and check is None
        return Advice(
            micro_batch_size=split.micro_batch_size,
            max_micro_batch_size=max(self.memory.max_micro_batch_size, split.micro_batch_size),
            accumulation_steps=split.accumulation_steps,
            world_size=split.world_size,
            effective_batch_size=split.effective_batch_size,
            learning_rate=choice.learning_rate,
            lr_rule=rule_in_words(view),
            # A rate that does not train is none that trials have confirmed.
            lr_evidence=Evidence.RULE if has_failed else choice.evidence,
            warmup_steps=warmup_steps(view, choice, steps_per_epoch(view, split))
            if horizon is None
            else horizon.warmup_steps,
            weight_decay=profile.optimizer.weight_decay,
            betas=profile.optimizer.betas,
            momentum=profile.optimizer.momentum,
            batch_schedule=schedule,
            steps_per_epoch=steps_per_epoch(view, split),
            precision=profile.precision,
            device=view.device.name,
            verified=is_verified,
            predicted_peak_bytes=self.memory.split_peak_bytes(split),
            measured_peak_bytes=None if verification is None else verification.peak_bytes,
            budget_bytes=memory_budget(
                view.request, view.device, view.tuning.evidence.memory
            ).budget_bytes,
            samples_per_s=samples_per_s,
            samples_per_s_interval=rate_interval,
            step_time_s=step_time_s,
            time_per_epoch_s=epoch_s,
            noise_scale=None if noise is None else noise.value,
            noise_scale_interval=None
            if noise is None or noise.interval is None
            else Interval(low=noise.interval[0], high=noise.interval[1]),
            critical_batch_size=None if noise is None else noise.value,
            expected_speedup_over_reference=None if speedup is None else speedup.ratio,
            expected_speedup_interval=None if speedup is None else speedup.interval,
            confidence=self._confidence(is_verified=is_verified and not has_failed_script),
            caveats=(
                *(() if runner is None else runner.caveats(check)),
                *about_loss(view, accumulates=self._accumulates(alternatives)),
                *caveats(view, choice, self.chooser),
                *([about_schedule(view)] if schedule else []),
            ),
            alternatives=alternatives,
            search=search(view, pruned_count=self._pruned_count()),
            levers=saving_gains(view),
            max_micro_batch_size_interval=self._max_size_interval(),
            mean_power_w=step_power_w(view, split),
            energy_per_epoch_j=epoch_s and energy_j(view, split, epoch_s),
            cost_per_epoch=epoch_s and training_cost(view, split, epoch_s),
            loader_workers=None if bottleneck is None else bottleneck.advised_workers,
            drop_last=drop_last(view, split),
            order_variance_ratio=None if order is None else order.design_effect,
            companions=related_hyperparameters(view, self.chooser, choice),
            clip_gradient_norm=clip_gradient_norm(view, self.chooser, choice),
            gradient_norm=norms_of_reference(view),
            rules_of_thumb=rules_of_thumb(view),
            outlook=forecast_budget(view, self.chooser, choice),
            batch_semantics=profile.batch_semantics,
            dataset_size=profile.dataset_size,
            reference=view.reference,
            horizon=horizon,
            expected_final_loss=final_loss(view, choice),
            script_check=check,
        )

    def _speedup(self) -> Speedup | None:
        trial, carried = self.choice.trial, self.choice.carried
        if carried is not None:
            return None if carried.speedup is None else Speedup(*carried.speedup)
        return None if trial is None else self.chooser.speedup(trial)

    def _accumulates(self, alternatives: Sequence[Alternative]) -> bool:
        """Return whether the advice or an alternative accumulates micro-batches."""
        is_accumulated = self.choice.split.accumulation_steps > 1
        return is_accumulated or any(one.accumulation_steps > 1 for one in alternatives)

    def _pruned_count(self) -> int:
        if self.view.step_times is None:
            return 0
        return sum(map(self.chooser.search.is_short, self.chooser.trials.all))

    def _max_size_interval(self) -> Interval | None:
        found = self.memory.max_size_interval
        return None if found is None else Interval(low=found[0], high=found[1])

    def _pace(self) -> tuple[float | None, Interval | None]:
        """Return seconds a step and the interval of samples/s, as timed before.

        Not from verification, whose steps are watched for memory and so take longer.
        """
        if self.view.step_times is None:
            return None, None
        split = self.choice.split
        size = split.effective_batch_size
        step_time_s = self.chooser.search.cost.compute_time_s(split)
        low_s, high_s = self._timed_interval(split.micro_batch_size, step_time_s)
        if low_s <= 0:
            return None, None
        return step_time_s, Interval(low=size / high_s, high=size / low_s)

    def _timed_interval(self, size: int, step_time_s: float) -> tuple[float, float]:
        """Return the step time's interval: relative width as at the nearest timed size."""
        timed = {
            command.micro_batch_size: times.step_times_s
            for command, times in self.view.figures(TimeSteps, StepTimes)
        }
        nearest = min(timed, key=lambda b: max(b / size, size / b))
        low_s, high_s = typical_interval_s(timed[nearest])
        centre_s = typical_time_s(timed[nearest])
        if centre_s <= 0:
            return step_time_s, step_time_s
        # In this order, rounding leaves the interval around the step time.
        return step_time_s * (low_s / centre_s), step_time_s * (high_s / centre_s)

    def _time_per_epoch_s(self) -> float | None:
        steps = steps_per_epoch(self.view, self.choice.split)
        if steps is None or self.view.step_times is None:
            return None
        return steps * self.chooser.search.cost.step_time_s(self.choice.split)

    def _confidence(self, *, is_verified: bool) -> Confidence:
        trial, carried = self.choice.trial, self.choice.carried
        if is_verified and carried is not None:
            return carried.confidence
        # Without complete trainings nothing was seen of a training of the stated length.
        is_stated = self.view.model(StatedTraining).length is not None
        if not is_verified or trial is None or is_stated:
            return Confidence.LOW
        rivals = [t for t in self.chooser.sound if t.number != trial.number]
        is_long = not self.chooser.search.is_short(trial)
        if is_long and len(rivals) >= self.view.tuning.answer.advice.min_rivals:
            return Confidence.HIGH
        return Confidence.MEDIUM

    def _alternatives(self) -> list[Alternative]:
        """Return other settings that trade one thing for another.

        One that was sooner on fewer samples so far, and yet was not chosen, is no better for it:
        the chooser says why.
        """
        return [one for one in self._others() if not _is_better_in_all(one)]

    def _others(self) -> list[Alternative]:
        found = []
        most = self.view.tuning.answer.advice.max_alternative_share
        if self.view.step_times is not None:
            fastest = self.chooser.highest_throughput()
            if fastest is not None and self._step_time_per_sample_s(fastest) <= (
                most * self._step_time_per_sample_s(self.choice)
            ):
                found.append(self._alternative("fastest steps", fastest))
            frugal = self.chooser.fewest_samples()
            relative = None if frugal is None else self._relative(frugal)[1]
            if frugal is not None and relative is not None and relative <= most:
                found.append(self._alternative("fewest samples", frugal))
        lean = self.chooser.leanest(self.choice)
        peak_bytes = self.memory.split_peak_bytes
        if peak_bytes(lean.split) <= most * peak_bytes(self.choice.split):
            found.append(self._alternative("leanest memory", lean))
        return found

    def _alternative(self, title: str, choice: Choice) -> Alternative:
        time, samples = self._relative(choice)
        per_sample_s = self._step_time_per_sample_s(choice) if self.view.step_times else None
        return Alternative(
            title=title,
            micro_batch_size=choice.split.micro_batch_size,
            accumulation_steps=choice.split.accumulation_steps,
            effective_batch_size=choice.split.effective_batch_size,
            learning_rate=choice.learning_rate,
            predicted_peak_bytes=self.memory.split_peak_bytes(choice.split),
            samples_per_s=1 / per_sample_s if per_sample_s else None,
            relative_time=time,
            relative_samples=samples,
        )

    def _relative(self, choice: Choice) -> tuple[float | None, float | None]:
        """Return time and samples to the target, over the advice's, where both were trained."""
        ours, theirs = self.choice.trial, choice.trial
        if ours is None or theirs is None:
            return None, None
        ours_s, theirs_s = map(self.chooser.time_to_target_s, (ours, theirs))
        if not ours_s or not theirs_s:
            return None, None
        # The alternative may split the same batch otherwise, and so step at another pace.
        cost = self.chooser.search.cost
        pace = cost.step_time_s(choice.split) / cost.step_time_s(theirs.split)
        ours_samples, theirs_samples = map(self.chooser.samples_to_target, (ours, theirs))
        samples = theirs_samples / ours_samples if ours_samples and theirs_samples else None
        return pace * theirs_s / ours_s, samples

    def _step_time_per_sample_s(self, choice: Choice) -> float:
        cost = self.chooser.search.cost
        return cost.compute_time_s(choice.split) / choice.split.effective_batch_size


def _is_better_in_all(one: Alternative) -> bool:
    return (one.relative_time or 1.0) < 1 and (one.relative_samples or 1.0) < 1
