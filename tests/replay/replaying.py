"""Asks the planner again what it was asked when a log was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.commands import Command
from bsadvise.wire.plain import to_plain, union_to_plain

from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.step import Commands, Planner
from advisor.planning.planner import RecommendationPlanner
from advisor.search.optuna_proposer import OptunaProposer
from tests.replay.comparing import differences
from tests.replay.recordings import Answer, AnsweredBy, Recording

_SHARES = (0.25, 0.5, 0.75)
"""Parts of a log after which the best answer so far is recorded."""


class PlanGoesOn(Exception):
    """A log that was whole is no longer: the planner wants to measure more."""


def the_planner() -> Planner:
    """Return the planner that recommendations are made with."""
    return RecommendationPlanner(OptunaProposer())


def with_answers(recording: Recording, planner: Planner) -> Recording:
    """Return a recording with what the planner says of its log now.

    Raises:
        PlanGoesOn: It says nothing yet.
    """
    length = len(recording.log)
    counts = sorted({int(share * length) for share in _SHARES} - {0})
    return replace(
        recording,
        answer=_answer(recording, planner),
        best_so_far={count: _best_so_far(recording, planner, count) for count in counts},
    )


def changed_commands(
    recording: Recording, planner: Planner, measurement_counts: Sequence[int]
) -> list[str]:
    """Return in which fields the plan differs from the commands of the log.

    Whatever a log holds, of a search that was killed and went on, of measurements that were
    invalidated and repeated: each entry is what the planner asked for, given those before it.
    """
    found = []
    for count in measurement_counts:
        asked = union_to_plain(recording.log[count].command)
        step = _next(recording, planner, count)
        found += differences(asked, union_to_plain(step), f"log[{count}].command")
    return found


def changed_answer(recording: Recording, planner: Planner) -> list[str]:
    """Return in which fields the answer to the whole log differs from what is recorded.

    Where the planner would now go on, the command that it asks for is the difference.
    """
    old, new = recording.answer, _last_step(recording, planner)
    return differences(old and union_to_plain(old), new and union_to_plain(new), "answer")


def changed_best_so_far(recording: Recording, planner: Planner) -> list[str]:
    """Return in which fields the best answers after parts of the log differ from those recorded."""
    found = []
    for count, best in recording.best_so_far.items():
        now = _best_so_far(recording, planner, count)
        path = f"best_so_far[{count} measurements]"
        found += differences(best and to_plain(best), now and to_plain(now), path)
    return found


def _answer(recording: Recording, planner: Planner) -> Answer:
    match _last_step(recording, planner):
        case Advice() | Refusal() | None as answer:
            return answer
        case command:
            raise PlanGoesOn(f"the log is whole, and the plan goes on with {command}")


def _last_step(recording: Recording, planner: Planner) -> Command | Answer:
    if recording.answered_by is AnsweredBy.BEST_SO_FAR:
        return _best_so_far(recording, planner, len(recording.log))
    return _next(recording, planner, len(recording.log))


def _next(recording: Recording, planner: Planner, count: int) -> Command | Advice | Refusal:
    """Return the one command that follows the first entries of a log, or the answer."""
    plan = planner.plan(_view(recording, planner, count))
    if isinstance(plan, Commands):
        (command,) = plan.commands
        return command
    return plan


def _best_so_far(recording: Recording, planner: Planner, count: int) -> Advice | None:
    return planner.best_so_far(_view(recording, planner, count))


def _view(recording: Recording, planner: Planner, count: int) -> LogView:
    return planner.read(recording.request, (recording.device,), recording.log[:count])
