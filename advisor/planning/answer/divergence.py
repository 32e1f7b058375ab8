"""What is said where a loss was not finite: after which step, and what the likely cause is."""

from __future__ import annotations

from collections.abc import Iterator

from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.measurements import Verification

from advisor.planning.evidence.log_view import LogView
from advisor.planning.trials.trials import Trial


def about_divergence(view: LogView, trials: tuple[Trial, ...]) -> Iterator[Caveat]:
    """Yield what to know where the reference, or every trial, came to a loss that is not finite."""
    if not trials or not trials[0].diverged:
        return
    step = trials[0].step_count
    cause = _likely_cause(view, step)
    if all(trial.diverged for trial in trials):
        yield Caveat(
            code=CaveatCode.ALL_TRIALS_DIVERGED,
            text="The loss was not finite in any trial (NaN or infinity), so that memory and speed "
            "alone were found and the learning rate is a rule's. The reference recipe had such a "
            f"loss by step {step:,}. {cause}",
        )
    else:
        yield Caveat(
            code=CaveatCode.REFERENCE_DIVERGED,
            text="The reference recipe diverged: its loss was not finite (NaN or infinity) by step "
            f"{step:,}. {cause}",
        )


def about_verified_loss(view: LogView, verification: Verification) -> Iterator[Caveat]:
    """Yield what to know where the loss was not finite when the setting was verified."""
    if verification.is_finite:
        return
    step = verification.not_finite_step
    when = "" if step is None else f" at step {step:,}"
    yield Caveat(
        code=CaveatCode.VERIFICATION_LOSS_NOT_FINITE,
        text=f"Not verified: its loss was not finite{when} when this setting was run. "
        f"{_likely_cause(view, step)}".rstrip(),
    )


def _likely_cause(view: LogView, step: int | None) -> str:
    """Return the likely cause of a loss that is not finite by a step; nothing for one unknown."""
    codes = {caveat.code for caveat in view.profile.caveats}
    if step == 1 or CaveatCode.FIRST_LOSS_NOT_FINITE in codes:
        return (
            "No update came before it, so that the learning rate is not the cause: look for the "
            "logarithm of zero, a division by zero or a mean over an empty selection in loss_fn, "
            "and for NaN in the data."
        )
    if step is None:
        return ""
    if view.profile.precision == "fp16":
        return (
            "The likely cause is float16, which ends at 65,504: try PRECISION = 'bf16'; else a "
            "learning rate that is too large."
        )
    return (
        "The likely cause is a learning rate that is too large; else look for the logarithm of "
        "zero or a division by zero in loss_fn."
    )
