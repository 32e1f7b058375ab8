"""What a larger budget would buy, in plain words."""

from __future__ import annotations

from bsadvise.model.units import format_seconds

from advisor.planning.answer.choice import Choice, Chooser
from advisor.planning.evidence.log_view import LogView
from advisor.planning.horizon.complete_trainings import CompleteTrainings
from advisor.planning.horizon.rungs import BY_FINAL_LOSS, CompleteRungs
from advisor.planning.trials.stated_training import StatedTraining
from advisor.planning.trials.trials import Trial


def forecast_budget(view: LogView, chooser: Chooser, choice: Choice) -> str | None:
    """Return what more budget would buy; None where no trials could be run at all."""
    best, tuning = choice.trial, view.tuning.answer.advice
    if view.request.max_trials == 0 or view.step_times is None or not chooser.sound:
        return None
    if view.model(StatedTraining).is_countable and view.request.objective in BY_FINAL_LOSS:
        return _forecast_stated(view, choice)
    if best is None:
        return "A larger budget would let the recommended batch itself be tried."
    ranking, target = chooser.search.ranking, view.request.target_loss
    rivals = [trial for trial in ranking.ties_of(best, chooser.sound) if trial is not best]
    if best.time_to_target_s is None and target is not None:
        return (
            f"A budget of about {format_seconds(_budget_to_target_s(view, chooser, best))} would "
            f"let the best trials reach the target loss {target:g}, as the loss has been falling."
        )
    has_converged = view.elapsed_s < tuning.max_ended_share * view.request.budget_s
    if has_converged and not chooser.search.is_unfinished:
        return (
            f"A larger budget would help little: the search converged after "
            f"{format_seconds(view.elapsed_s)}."
        )
    larger = format_seconds(tuning.budget_growth * view.request.budget_s)
    if rivals:
        return (
            f"{len(rivals)} other setting(s) did about as well. A budget of {larger} would train "
            f"each for {tuning.budget_growth:g} times as long and distinguish more of them."
        )
    return (
        f"A budget of {larger} would train each setting for {tuning.budget_growth:g} times as "
        "long, and try more neighbours of the best."
    )


def _forecast_stated(view: LogView, choice: Choice) -> str:
    """Return what more budget would buy where the length of the training was stated."""
    rungs, complete = view.model(CompleteRungs), view.model(CompleteTrainings)
    whole = format_seconds(rungs.whole_budget_s)
    if choice.carried is None:
        least = format_seconds(rungs.least_budget_s)
        return f"A budget of about {least} would pay for complete trainings."
    if choice.carried.is_measured:
        if rungs.is_whole and complete.is_exhausted:
            return "A larger budget would help little: all neighbours of the best were trained."
        larger = format_seconds(view.tuning.answer.advice.budget_growth * view.request.budget_s)
        return f"A budget of {larger} would try more settings in trainings of the stated length."
    share = f"{100 * view.tuning.horizon.max_cost_share:g} % of the stated training's time"
    if rungs.allowance_s < rungs.share_s:
        return (
            f"A larger budget would make complete trainings longer, until all take {share}. From "
            f"about {whole} on the stated training itself would be made, and nothing carried."
        )
    return (
        f"Complete trainings took what they may, {share}. From a budget of about {whole} on the "
        "stated training itself would be made, and nothing carried."
    )


def _budget_to_target_s(view: LogView, chooser: Chooser, best: Trial) -> float:
    """Return the budget whose longest trials would reach the target."""
    time_to_target_s: float = best.end_s * 2.0 ** chooser.search.ranking.doublings_to_go(best)
    longer = time_to_target_s / chooser.search.schedule.horizon_s
    return view.request.budget_s * max(longer, view.tuning.answer.advice.budget_growth)
