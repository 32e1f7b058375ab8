"""What may not be asked of a command is refused with its field."""

from __future__ import annotations

from typing import Any

import pytest
from bsadvise.model.horizon import parse_length
from bsadvise.model.request import EntryKind, Objective

from advisor.application.validation import check_estimate, check_request
from tests.support.builders import a_request, a_source


def violations(*arguments: str, **changes: Any) -> list[str]:
    source = a_source(entry_kind=EntryKind.COMMAND, arguments=arguments)
    return [violation.field for violation in check_request(a_request(source=source, **changes))]


def test_a_command_that_says_where_its_batch_goes_is_accepted() -> None:
    assert violations("{batch}", effective_batch_size=64, objective=Objective.THROUGHPUT) == []


def test_one_without_and_one_with_an_impossible_value_are_not() -> None:
    assert violations("--lr", "{lr}") == ["request.source.arguments"]
    assert violations("{batch=0}") == ["request.source.arguments"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("objective", Objective.SAMPLES),
        ("target_loss", 1.0),
        ("train_for", parse_length("3epochs")),
        ("observe_only", True),
        ("world_size", 2),
    ],
)
def test_what_runs_cannot_show_is_named(field: str, value: Any) -> None:
    assert violations("{batch}", **{field: value}) == [f"request.{field}"]


def test_no_memory_is_estimated_of_a_command() -> None:
    source = a_source(entry_kind=EntryKind.COMMAND, arguments=("{batch}",))
    (violation,) = check_estimate(a_request(source=source))
    assert violation.field == "request.source.entry_kind"
