"""Why there is no advice: from a worker's outcome to words for the user."""

from __future__ import annotations

from bsadvise.model.advice import Refusal, RefusalCode
from bsadvise.model.commands import Command, InspectTask, ObserveScript, TraceMemory
from bsadvise.model.measurements import Failed, FaultCode, Outcome, OutOfMemory, TimedOut
from bsadvise.model.request import AdviceRequest
from bsadvise.model.units import format_bytes, format_seconds

_DOING: dict[type[Command], str] = {
    InspectTask: "while the model file was loaded",
    ObserveScript: "while the script was run",
    TraceMemory: "while a training step was traced",
}


def refuse(command: Command, outcome: Outcome) -> Refusal:
    """Return the refusal for a command without whose figures there can be no advice."""
    doing = _DOING.get(type(command), "while a training step was run")
    match outcome:
        case Failed(fault=fault):
            code = (
                RefusalCode.INTERNAL if fault.code is FaultCode.WORKER else RefusalCode.MODEL_FILE
            )
            return Refusal(code=code, message=str(fault), fault=fault)
        case TimedOut(limit_s=limit_s, hook=hook, place=place):
            what = "Importing the model file" if hook in (None, "import") else hook
            return Refusal(
                code=RefusalCode.MODEL_FILE,
                message=f"{what} did not end within "
                f"{format_seconds(limit_s)} {doing}. {_remedy_of_hang(place)}",
            )
        case OutOfMemory(message=message):
            return Refusal(code=RefusalCode.NO_FIT, message=f"Memory ran out {doing}: {message}")
        case _:
            raise TypeError(f"{type(outcome).__name__} is no reason to refuse")


def _remedy_of_hang(place: str | None) -> str:
    remedy = "look for a loop that does not end"
    if place is not None:
        remedy = f"it was at {place}: {remedy}, or a lock or connection that it waits for"
    return f"If it needs longer, give a larger --budget; otherwise {remedy}."


def refuse_no_fit(needed_bytes: int, budget_bytes: int, device_name: str) -> Refusal:
    """Return the refusal for a model that does not fit with a single sample."""
    return Refusal(
        code=RefusalCode.NO_FIT,
        message=f"Not even one sample fits: a step takes {format_bytes(needed_bytes)}, and "
        f"{format_bytes(budget_bytes)} may be used on {device_name}. Use a larger card or "
        "limit, PRECISION = 'bf16', gradient checkpointing or a leaner optimizer.",
    )


def refuse_no_split(
    request: AdviceRequest, largest: int, *, is_indivisible: bool = False
) -> Refusal:
    """Return the refusal for an effective batch that cannot be split exactly.

    Args:
        request: What was asked.
        largest: The largest micro-batch that fits, beside accumulated gradients unless indivisible.
        is_indivisible: Whether micro-batches would be trained on otherwise than the whole.
    """
    batch_size, world_size = request.effective_batch_size, request.world_size
    if is_indivisible:
        return Refusal(
            code=RefusalCode.NO_FIT,
            message=f"An effective batch of {batch_size} cannot be had on {world_size} device(s): "
            f"{largest} samples fit at a time, and micro-batches would be trained on otherwise "
            "than the whole, since the loss couples the samples of a batch or takes steps of its "
            "own. Choose a batch that fits, or raise the limit.",
        )
    return Refusal(
        code=RefusalCode.NO_FIT,
        message=f"An effective batch of {batch_size} cannot be split over {world_size} device(s) "
        f"into equal micro-batches of at most {largest} samples, which is what fits beside "
        "accumulated gradients. Choose a batch with more divisors, or raise the limit.",
    )
