"""How a request goes onto the wire."""

from __future__ import annotations

from typing import Any

from bsadvise.model.horizon import parse_length, parse_schedule
from bsadvise.model.request import (
    MOST_SHARED_BUDGET_S,
    AdviceOptions,
    Objective,
    Priority,
    PriorScope,
    Source,
)
from bsadvise.v1 import horizon_pb2, recommendation_pb2
from bsadvise.wire.messages import to_message


def make_request(source: Source, options: AdviceOptions) -> recommendation_pb2.AdviceRequest:
    """Return the message that asks for advice.

    Raises:
        TypeError: There is no such option.
        ValueError: There is no such objective, priority, scope of a prior, length or schedule.
    """
    unknown = options.keys() - AdviceOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
    fields: dict[str, Any] = dict(options)
    if fields.get("objective") is not None:
        fields["objective"] = f"OBJECTIVE_{Objective(fields['objective']).name}"
    if fields.get("priority") is not None:
        fields["priority"] = f"PRIORITY_{Priority(fields['priority']).name}"
    if fields.get("prior") is not None:
        fields["prior"] = f"PRIOR_SCOPE_{PriorScope(fields['prior']).name}"
    if fields.get("budget_share") is not None and fields.get("budget_s") is None:
        fields["budget_s"] = MOST_SHARED_BUDGET_S
    train_for, schedule = fields.pop("train_for", None), fields.pop("schedule", None)
    if train_for is not None:
        length = parse_length(train_for) if isinstance(train_for, str) else train_for
        fields["train_for"] = to_message(length, horizon_pb2.TrainingLength())
    if schedule is not None:
        shape = parse_schedule(schedule) if isinstance(schedule, str) else schedule
        fields["schedule"] = to_message(shape, horizon_pb2.LearningRateSchedule())
    return recommendation_pb2.AdviceRequest(
        source=recommendation_pb2.Source(
            digest=source.digest,
            entry_path=source.entry_path,
            entry_kind=recommendation_pb2.EntryKind.Value(f"ENTRY_KIND_{source.entry_kind.name}"),
            arguments=source.arguments,
        ),
        **fields,
    )
