"""Recorded logs, replayed: the planner asks and answers as it did when they were recorded.

A failure says which field of which command or answer has changed. Where the change is meant,
``python -m tests.replay.record --answers NAME`` rewrites the answers, and the difference is there
for a reviewer to see; README.md has more.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.planning.evidence.step import Planner
from tests.replay.comparing import differences
from tests.replay.record import ALL
from tests.replay.recordings import (
    AnsweredBy,
    path_of,
    read_recording,
    recorded_names,
    write_recording,
)
from tests.replay.replaying import (
    changed_answer,
    changed_best_so_far,
    changed_commands,
    the_planner,
)

_MOST_PREFIXES = None if os.environ.get("BSADVISE_REPLAY") == "whole" else 16
"""How many prefixes of a log are replayed; a planner's call takes longer the longer its log."""

every_recording = pytest.mark.parametrize("name", recorded_names())


@pytest.fixture(scope="module")
def planner() -> Planner:
    return the_planner()


@every_recording
def test_the_plan_is_a_function_of_the_log(name: str, planner: Planner) -> None:
    recording = read_recording(path_of(name))
    counts = _spread(len(recording.log))
    assert not _lines(changed_commands(recording, planner, counts))


@every_recording
def test_the_answer_is_the_recorded_one(name: str, planner: Planner) -> None:
    assert not _lines(changed_answer(read_recording(path_of(name)), planner))


@every_recording
def test_the_best_so_far_is_the_recorded_one(name: str, planner: Planner) -> None:
    assert not _lines(changed_best_so_far(read_recording(path_of(name)), planner))


def test_every_search_is_recorded_and_every_recording_has_a_search() -> None:
    assert set(recorded_names()) == set(ALL)


@every_recording
def test_a_recording_survives_being_written(name: str, tmp_path: Path) -> None:
    recording = read_recording(path_of(name))
    write_recording(recording, tmp_path / "again.json")
    assert read_recording(tmp_path / "again.json") == recording


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(ValueError, match="format 99 is not 1"):
        read_recording(tmp_path / "new.json")


def test_a_log_that_tells_something_else_is_answered_otherwise(planner: Planner) -> None:
    recording = read_recording(path_of("simulated_card"))
    shortened = replace(recording, log=recording.log[:-1], answered_by=AnsweredBy.BEST_SO_FAR)
    found = changed_answer(shortened, planner)
    assert "answer.advice.verified: True -> False" in found
    other = replace(recording, request=replace(recording.request, seed=9, budget_s=20.0))
    (first, *_) = changed_commands(other, planner, [0])
    assert first.startswith("log[0].command.inspect_task.time_limit_s: ")


@given(st.integers(10**8, 10**9 - 1), st.integers(-30, 30), st.integers(-100, 100))
def test_last_bits_are_no_difference_and_the_ninth_digit_is(
    digits: int, exponent: int, bits: int
) -> None:
    value = float(f"{digits}e{exponent}")
    near, far = value + bits * math.ulp(value), float(f"{digits + 1}e{exponent}")
    assert not differences({"a": [value]}, {"a": [near]})
    assert differences({"a": [value]}, {"a": [far]}) == [f"a[0]: {value:.9g} -> {far:.9g}"]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ({"a": 1}, {"a": 2}, "a: 1 -> 2"),
        ({"a": "x"}, {}, "a: 'x' -> (absent)"),
        ({}, {"a": {"b": [True]}}, "a.b[0]: (absent) -> True"),
        ({"a": [1, 2]}, {"a": [1]}, "a[1]: 2 -> (absent)"),
        ({"a": 1}, {"a": True}, "a: 1 -> True"),
        ({"a": 0.1}, {"a": 0.2}, "a: 0.1 -> 0.2"),
        (None, {"a": 1}, "a: (absent) -> 1"),
    ],
)
def test_a_difference_says_what_was_and_what_is(old: object, new: object, line: str) -> None:
    assert line in differences(old, new)


def test_a_whole_number_of_seconds_is_no_difference() -> None:
    assert not differences({"a": 5, "b": []}, {"a": 5.0, "b": []})


def _spread(length: int) -> list[int]:
    """Return the measurement counts whose next command is asked for; the last among them."""
    stride = 1 if _MOST_PREFIXES is None else max(1, -(-length // _MOST_PREFIXES))
    return list(range(length - 1, -1, -stride))[::-1]


def _lines(found: list[str]) -> str:
    """Return differences as pytest prints them: a line each."""
    return "\n".join(found)
