"""What must come of a model file: data beside it, held against what the command printed.

``models/NAME.toml`` belongs to ``models/NAME.py``. Its keys are the fields of ``Expectation``; all
but ``why`` may be left out.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.messages import ours_in

MODELS = Path(__file__).parent / "models"

_NOT_GIVEN = "none"
"""Stands for a figure that there is none of, as TOML has no null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What must come of a model file.

    Attributes:
        why: What would go wrong without it.
        exit_code: Of the command: 0 for an answer, 3 for a refusal.
        arguments: Further arguments of the command.
        caveats: Codes of caveats that the answer has.
        no_caveats: Codes that it does not have.
        words: What is said, whatever breaks the lines.
        no_words: What is not said.
        figures: Of fields of the answer, the least and the most, or the one value, or "none". A dot
            leads into a member, and into each of a list.
        is_quick: Whether it ends within a few seconds, so that every run of the suite holds it.
    """

    why: str
    exit_code: int = 0
    arguments: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    no_caveats: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    no_words: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    is_quick: bool = False


def expectation_of(name: str) -> Expectation:
    """Return what must come of a model file.

    Raises:
        TypeError: There is a key that is no field.
    """
    fields: dict[str, Any] = tomllib.loads((MODELS / f"{name}.toml").read_text(encoding="utf-8"))
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return Expectation(**values)


def differences(expected: Expectation, exit_code: int, output: str, errors: str) -> list[str]:
    """Return in what a command's end differs from what was expected of it, one a line."""
    printed = _unbroken(output + errors)
    found = [f"exit code {exit_code}"] if exit_code != expected.exit_code else []
    found += [f"not said: {words}" for words in expected.words if _unbroken(words) not in printed]
    found += [f"said: {words}" for words in expected.no_words if _unbroken(words) in printed]
    found += [f"of ours: {words}" for words in ours_in(output + errors)]
    if exit_code == 0:
        answer = json.loads(output)
        codes = {caveat["code"] for caveat in answer["caveats"]}
        found += [f"no caveat {code}" for code in expected.caveats if code not in codes]
        found += [f"caveat {code}" for code in expected.no_caveats if code in codes]
        found += _unlike(expected.figures, answer)
        found += _contradictions(answer)
    return found


def _unlike(figures: Mapping[str, Any], answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the figures of an answer that are not as expected."""
    for path, expected in figures.items():
        for value in _values(answer, path.split(".")):
            if isinstance(expected, list):
                low, high = expected
                is_as_expected = value is not None and low <= value <= high
            else:
                is_as_expected = value == (None if expected == _NOT_GIVEN else expected)
            if not is_as_expected:
                yield f"{path} is {value}, not {expected}"


def _values(value: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for member in value:
            yield from _values(member, path)
    elif path:
        yield from _values(value[path[0]], path[1:])
    else:
        yield value


def _contradictions(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield in what the figures of an answer contradict each other, whatever the file."""
    settings = [answer, *answer["alternatives"]]
    for setting in settings:
        product = setting["micro_batch_size"] * setting["accumulation_steps"]
        if product * answer["world_size"] != setting["effective_batch_size"]:
            yield f"a batch of {setting['effective_batch_size']} is no {product}"
        if answer["dataset_size"] and setting["effective_batch_size"] > answer["dataset_size"]:
            yield f"a batch of {setting['effective_batch_size']} is beyond the data"
    for figure, interval in (
        ("samples_per_s", "samples_per_s_interval"),
        ("noise_scale", "noise_scale_interval"),
        ("expected_speedup_over_reference", "expected_speedup_interval"),
    ):
        bounds = answer[interval]
        if bounds is not None and not bounds["low"] <= answer[figure] <= bounds["high"]:
            yield f"{figure} {answer[figure]} lies outside {bounds}"
    if answer["verified"] and answer["measured_peak_bytes"] > answer["budget_bytes"]:
        yield "what was verified takes more than the budget"


def _unbroken(text: str) -> str:
    """Return a text without what a terminal's width does to it."""
    return "".join(text.split())
