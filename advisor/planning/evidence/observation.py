"""The stage before the first, of scripts alone: see what a script trains with by itself."""

from __future__ import annotations

from bsadvise.model.advice import Refusal, RefusalCode
from bsadvise.model.commands import ObserveScript
from bsadvise.model.observation import BatchSource, Observation, ObservationEnd, Reference
from bsadvise.model.request import EntryKind
from bsadvise.model.units import format_seconds

from advisor.planning.evidence.budget import hook_limit_s
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.refusals import refuse

_NO_LOADER = (
    "No DataLoader of torch gives it its batches: it cuts tensors itself, or has another library's "
    "loader. Such a batch cannot be changed from outside. Let a "
    "`DataLoader(TensorDataset(...), batch_size=...)` give them, or write a model file."
)
_BATCH_SAMPLER = (
    "Its batch sampler, or its data set, decides which samples make a batch and how many: there is "
    "no batch size that could be another."
)
_CLOSURE = (
    "Its optimizer's step is given a closure, as LBFGS and SAM want it: the loss is computed more "
    "than once a step, and one batch cannot be weighed against another. Train with an optimizer "
    "that takes gradients as they are, such as torch.optim.SGD or AdamW."
)
_PROCESSES = (
    "It starts several training processes, or waits for those of a launcher; what they do cannot "
    "be seen. Give the arguments with which it trains in one process, after `--`, and `--gpus N` "
    "for the others."
)


def next_observation(view: LogView) -> ObserveScript | Refusal | None:
    """Return the observation of a script, or why nothing can be advised on; None once it is made.

    None too for a model file, which trains nothing by itself.
    """
    if view.request.source.entry_kind is not EntryKind.SCRIPT:
        return None
    for command, entry in view.entries(ObserveScript):
        if not isinstance(entry.outcome, Observation):
            return refuse(command, entry.outcome)
        reason = _objection(entry.outcome, command.time_limit_s)
        return None if reason is None else Refusal(code=RefusalCode.MODEL_FILE, message=reason)
    return ObserveScript(
        time_limit_s=hook_limit_s(view), step_count=view.tuning.evidence.observation.step_count
    )


def _objection(seen: Observation, limit_s: float) -> str | None:
    """Return why there is nothing to choose for what was seen; None where there is."""
    if seen.step_count == 0:
        return _PROCESSES if seen.has_processes else _without_step(seen, limit_s)
    if seen.has_closure:
        return _CLOSURE
    if seen.batch_source is BatchSource.BATCH_SAMPLER:
        return _BATCH_SAMPLER
    if seen.batch_source is not BatchSource.LOADER:
        return _without_loader(seen)
    if seen.reference is None:
        return "What it trains with could not be seen, though it takes steps."
    return _objection_to_setting(seen.reference)


def _without_step(seen: Observation, limit_s: float) -> str:
    if seen.end is ObservationEnd.TIME_LIMIT:
        where = f", when it was at {seen.place}" if seen.place else ""
        return (
            f"It took no optimizer step within {format_seconds(limit_s)}{where}. Give arguments "
            "with which it comes to its training sooner, after `--`, or a larger --budget."
        )
    if seen.backward_count:
        return (
            f"It made {seen.backward_count:,} backward passes and no step of an optimizer of "
            "torch: where it changes the weights itself, there is no rate that could be another. "
            "Let a torch.optim.Optimizer, such as torch.optim.SGD, take the steps."
        )
    return (
        "It ended without an optimizer step: nothing was trained. If it needs arguments to train, "
        "give them after `--`."
    )


def _without_loader(seen: Observation) -> str:
    if seen.simulator:
        return (
            f"It trains on what it collects from {seen.simulator} while it trains: how much that "
            "is belongs to the method, and there is no data set to choose a batch from."
        )
    if seen.row_count is not None:
        return (
            f"Each step sees all {seen.row_count:,} rows: it trains on the full batch, and there "
            "is no smaller one to choose."
        )
    return _NO_LOADER


def _objection_to_setting(reference: Reference) -> str | None:
    if reference.dataset_size == 1:
        return (
            "Each step sees the one sample that its data set has: it trains on the full batch, and "
            "there is no smaller one to choose."
        )
    if reference.learning_rate is None:
        return f"{reference.optimizer_name}, its optimizer, has no `lr` that could be chosen."
    return None
