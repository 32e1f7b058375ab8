"""What an answer says of a data loader that training waits for."""

from __future__ import annotations

from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.measurements import Failed, LoaderTimes, OutOfMemory
from bsadvise.model.units import format_seconds

from advisor.planning.data.loading import LoaderBottleneck, LoaderTrial, loader_bottleneck
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split

_CHEAPER = "Make the data set cheaper to read."


def about_loader(view: LogView, split: Split) -> Caveat | None:
    """Return what to know of the loader; None where training does not wait for it."""
    found = loader_bottleneck(view, split)
    if found is None:
        return None
    waits = (
        f"Training waits for its data loader: {format_seconds(found.loading_s)} for a step's "
        f"samples, against {format_seconds(found.compute_s)} of computing."
    )
    more = _expected(found, view) if found.trial is None else _tried(found, found.trial, view)
    text = f"{waits}{_shares(found)} {more}"
    return Caveat(code=CaveatCode.DATA_LOADER_BOTTLENECK, text=text)


def _shares(found: LoaderBottleneck) -> str:
    if found.computing_share is None:
        return ""
    return (
        f" Loading computes {found.computing_share:.0%} of its time and waits "
        f"{1 - found.computing_share:.0%} of it (for a disk, the network or a lock)."
    )


def _expected(found: LoaderBottleneck, view: LogView) -> str:
    """Return what more processes should do, where none were tried."""
    if found.promising_workers is not None:
        return f"About {found.promising_workers} loader workers should help; that was not tried."
    why = f": they compute on {_processors(view)}" if found.is_bound_by_processors else ""
    return f"More loader workers would not help{why}. {_CHEAPER}"


def _tried(found: LoaderBottleneck, trial: LoaderTrial, view: LogView) -> str:
    """Return what more processes did."""
    tried = f"With num_workers={trial.workers}, which was tried,"
    if not isinstance(trial.outcome, LoaderTimes):
        return f"{tried} it {_failure(trial)}. {_CHEAPER}"
    if trial.outcome.is_stream_repeated:
        return (
            f"{tried} each worker reads the whole stream, so that samples repeat: in __iter__ ask "
            "torch.utils.data.get_worker_info() which part to read, and ask again."
        )
    loading_s, step_time_s = trial.loading_s or 0.0, trial.step_time_s or 0.0
    took = f"{tried} loading takes {format_seconds(loading_s)}"
    if not trial.is_of_use:
        is_bound = trial.is_bound_by_processors
        why = f"compete for {_processors(view)}" if is_bound else "wait for one another"
        return f"{took}, which gains little: the workers {why}. {_CHEAPER}"
    keeps_up = loading_s <= view.tuning.data.loading.bottleneck_factor * found.compute_s
    rest = "Computing is then the limit." if keeps_up else f"Training still waits. {_CHEAPER}"
    return (
        f"{took} and a step about {format_seconds(step_time_s)}, not "
        f"{format_seconds(found.step_time_s)}. {rest} The batch was chosen for the loader as it "
        f"is: ask again with these workers.{_about_warning(trial, view)}"
    )


def _about_warning(trial: LoaderTrial, view: LogView) -> str:
    if trial.workers <= (view.profile.cpu_count or trial.workers):
        return ""
    return " PyTorch's warning of more workers than processors is for loaders that compute."


def _failure(trial: LoaderTrial) -> str:
    match trial.outcome:
        case Failed():
            return f"failed ({' '.join(trial.outcome.fault.message.split())[:200]})"
        case OutOfMemory():
            return "ran out of memory"
        case _:
            return "did not end in time"


def _processors(view: LogView) -> str:
    count = view.profile.cpu_count
    return "every processor" if count is None else f"all of {count} processor(s)"
