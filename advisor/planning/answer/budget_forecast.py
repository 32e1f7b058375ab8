"""What a larger budget would buy, in plain words."""

from __future__ import annotations

from bsadvise.model.units import format_seconds

from advisor.planning.answer.choice import Choice, Chooser
from advisor.planning.evidence.log_view import LogView
from advisor.planning.trials.trials import Trial

_ENDED_SHARE = 0.8
"""A search that took less of its budget than this has ended by itself."""


def outlook(view: LogView, chooser: Chooser, choice: Choice) -> str | None:
    """Return what more budget would buy; None where no trials could be run at all."""
    best = choice.trial
    if view.request.max_trials == 0 or view.step_times is None or not chooser.sound:
        return None
    if best is None:
        return "A larger budget would let the recommended batch itself be tried."
    ranking, target = chooser.search.ranking, view.request.target_loss
    rivals = [trial for trial in ranking.ties_of(best, chooser.sound) if trial is not best]
    if best.time_to_target_s is None and target is not None:
        return (
            f"A budget of about {format_seconds(_budget_to_arrive_s(view, chooser, best))} would "
            f"let the leaders come to the target loss {target:g}, as the loss has been falling."
        )
    has_ended = view.elapsed_s < _ENDED_SHARE * view.request.budget_s
    if has_ended and not chooser.search.is_unfinished:
        return (
            f"Little: the search ended by itself after {format_seconds(view.elapsed_s)}, when no "
            "further setting did better."
        )
    doubled = format_seconds(2 * view.request.budget_s)
    if rivals:
        return (
            f"{len(rivals)} other setting(s) did about as well. A budget of {doubled} would train "
            "each for twice as long and tell more of them apart."
        )
    return (
        f"A budget of {doubled} would train each setting for twice as long, and try more beside "
        "the best."
    )


def _budget_to_arrive_s(view: LogView, chooser: Chooser, best: Trial) -> float:
    """Return the budget whose longest trials would come to the target."""
    time_to_target_s: float = best.end_s * 2.0 ** chooser.search.ranking.doublings_to_go(best)
    longer = time_to_target_s / chooser.search.schedule.horizon_s
    return view.request.budget_s * max(longer, 2.0)
