"""What a daemon would keep of recorded and of made-up searches."""

from __future__ import annotations

from typing import Any

from bsadvise.model.advice import Advice, Refusal
from bsadvise.model.explanation import Findings
from bsadvise.model.measurements import Log
from bsadvise.model.recommendation import State
from bsadvise.model.request import AdviceRequest

from advisor.planning.answer.explanation import explain
from tests.replay.recordings import path_of, read_recording
from tests.replay.replaying import the_planner
from tests.support.builders import a_device, a_recommendation, a_request


def recorded_findings(name: str) -> Findings:
    """Return what is kept of a recorded search."""
    recording = read_recording(path_of(name))
    view = the_planner().read(recording.request, (recording.device,), recording.log)
    return Findings(
        recommendation=a_recommendation(
            recommendation_id=name,
            request=recording.request,
            device=recording.device,
            **_ended(recording.answer),
        ),
        log=recording.log,
        explanation=explain(view),
    )


def findings_of(
    log: Log, answer: Advice | Refusal | None = None, request: AdviceRequest | None = None
) -> Findings:
    """Return what is kept of a search that has this log."""
    request, device = request or a_request(), a_device()
    view = the_planner().read(request, (device,), log)
    return Findings(
        recommendation=a_recommendation(request=request, device=device, **_ended(answer)),
        log=log,
        explanation=explain(view),
    )


def _ended(answer: Advice | Refusal | None) -> dict[str, Any]:
    match answer:
        case Advice():
            return {"state": State.SUCCEEDED, "advice": answer}
        case Refusal():
            return {"state": State.FAILED, "refusal": answer}
    return {"state": State.CANCELLED}
