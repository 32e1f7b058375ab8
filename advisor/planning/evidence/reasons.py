"""Why a command is given, in a sentence that a report can show."""

from __future__ import annotations

from bsadvise.model.commands import (
    Command,
    CompareOrders,
    Evaluate,
    InspectTask,
    ObserveScript,
    RangeTest,
    RecallAnswers,
    RunScript,
    RunStep,
    TimeLoader,
    TimeSteps,
    TraceMemory,
    Train,
    TrialOrigin,
    Verify,
)
from bsadvise.model.observation import PlaceKind

_REASONS: dict[type[Command | RecallAnswers], str] = {
    RecallAnswers: "Earlier answers about the same task say where to begin.",
    ObserveScript: "What the script trains with by itself is what advice is compared with.",
    InspectTask: "What the model file holds decides what is measured.",
    RunStep: "A real step checks the predicted memory.",
    TimeSteps: "Step time by micro-batch size decides which batches are worth a trial.",
    TimeLoader: "The data loader may be slower than the model.",
    Evaluate: "Losses are compared with that of the untrained model.",
    Verify: "The recommended setting is run in a fresh process before it is given.",
    RunScript: "The script itself is run with the recommended values before they are given.",
    RangeTest: "The model file names no learning rate: a range test finds where to begin.",
    CompareOrders: "Samples that are stored in order make batches unrepresentative.",
}

_ORIGINS: dict[TrialOrigin, str] = {
    TrialOrigin.SUGGESTED: "The scaling model suggests this setting.",
    TrialOrigin.NEIGHBOUR: "It is a neighbour of the best trial, and was not tried.",
    TrialOrigin.SAMPLER: "The sampler suggests this setting, as all neighbours were tried.",
}


def reason_of(command: Command | RecallAnswers) -> str:
    """Return why a planner gives a command."""
    match command:
        case TraceMemory():
            return _why_traced(command)
        case Train():
            return _why_trained(command)
        case RunScript() if any(one.place.kind is PlaceKind.PLACEHOLDER for one in command.values):
            return "Whole runs of a command show its memory and its speed."
        case TimeLoader() if command.num_workers is not None:
            return "What more processes of the loader gain is measured before it is advised."
        case _:
            return _REASONS[type(command)]


def _why_traced(command: TraceMemory) -> str:
    if command.lever is not None:
        return "It shows how much memory this change would save."
    if command.is_typical:
        return "Samples are of unlike sizes: it shows what usual ones take."
    return "The largest micro-batch that fits is not known yet."


def _why_trained(command: Train) -> str:
    if command.trial is None:
        return "The reference recipe is what all trials are compared with."
    if command.complete_number is not None:
        return "A complete training compares settings by the loss at the end of their schedule."
    if command.schedule is not None:
        return "A long training may diverge at a peak rate that short ones survive."
    if command.replicate:
        return "Another seed shows whether its time to the target was chance."
    if command.rung == 0:
        return _ORIGINS.get(command.origin or TrialOrigin.REFERENCE, "It was not tried.")
    if command.trial == 0:
        return "Where the reference recipe is headed decides what a speedup is worth."
    return "It is among the best so far: longer training compares it more reliably."
