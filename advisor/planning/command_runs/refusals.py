"""Why there is no advice on a command."""

from __future__ import annotations

from bsadvise.model.advice import Refusal, RefusalCode
from bsadvise.model.commands import ObserveScript, RunScript
from bsadvise.model.measurements import Failed, Outcome, OutOfMemory
from bsadvise.model.observation import Observation, ObservationEnd, ScriptRun
from bsadvise.model.placeholders import placeholders
from bsadvise.model.request import AdviceRequest
from bsadvise.model.units import format_bytes, format_seconds

from advisor.planning.command_runs.setting import CommandSetting
from advisor.planning.evidence.refusals import refuse

_UNSEEN = "Python processes that are started with -I, -E or -S cannot be seen."


def refuse_command(request: AdviceRequest, command: ObserveScript, outcome: Outcome) -> Refusal:
    """Return the refusal for a command that fails with the values to begin with."""
    refusal = refuse(command, outcome)
    begun = placeholders(request.source.arguments)
    if not isinstance(outcome, Failed) or all(value is not None for value in begun.values()):
        return refusal
    return Refusal(
        code=refusal.code,
        message=f"{refusal.message} It was started without what {{batch}} and the like stand for, "
        "as if they were not said: where it needs them, give values to begin with, as in "
        "{batch=64} and {lr=0.1}.",
        fault=refusal.fault,
    )


def refuse_silence(seen: Observation, limit_s: float) -> Refusal:
    """Return the refusal for a command that takes no optimizer step."""
    if seen.has_processes:
        message = (
            "It starts several training processes, or waits for those of a launcher, and takes no "
            "optimizer step itself: give a command that trains in one process."
        )
    elif seen.end is ObservationEnd.TIME_LIMIT:
        where = f", when it was at {seen.place}" if seen.place else ""
        message = (
            f"No optimizer step was seen within {format_seconds(limit_s)}{where}, neither in the "
            f"script nor in Python processes that it starts. {_UNSEEN} If it needs longer to come "
            "to its training, give a larger --budget."
        )
    else:
        message = (
            "It ended without an optimizer step, of the script or of a Python process that it "
            f"starts: nothing was trained. {_UNSEEN}"
        )
    return Refusal(code=RefusalCode.MODEL_FILE, message=message)


def refuse_split(setting: CommandSetting, asked: int) -> Refusal:
    """Return the refusal for a batch that is to be kept, and that no batch size gives."""
    return Refusal(
        code=RefusalCode.NO_FIT,
        message=f"The command accumulates {setting.accumulation_steps:,} batches a step, which "
        f"cannot make {asked:,} samples: say with {{accumulation}} where that number goes.",
    )


def refuse_run(command: RunScript, outcome: Outcome, budget_bytes: int) -> Refusal:
    """Return the refusal for a command of which no run could be measured."""
    match outcome:
        case OutOfMemory(message=message):
            return Refusal(
                code=RefusalCode.NO_FIT, message=f"No batch that could be tried fits: {message}"
            )
        case ScriptRun(peak_bytes=int(peak_bytes)) if peak_bytes > budget_bytes:
            return Refusal(
                code=RefusalCode.NO_FIT,
                message=f"No batch that could be tried fits: it takes {format_bytes(peak_bytes)}, "
                f"and {format_bytes(budget_bytes)} may be used.",
            )
        case ScriptRun(step_count=steps):
            return Refusal(
                code=RefusalCode.MODEL_FILE,
                message=f"It ended after {steps:,} optimizer steps, which are too few to be timed: "
                "give arguments with which it trains for longer.",
            )
        case _:
            return refuse(command, outcome)
