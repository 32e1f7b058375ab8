"""Rows of older releases, brought to the form of this one when they are read.

Reading is tolerant of itself: what was added since has a default, and what is no longer there is
passed over. An upcast is needed where a field keeps its name and means something else, or where a
name was replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bsadvise.model.caveats import CaveatCode

WRITER_VERSION = "writer_version"
"""The key under which a row's JSON says which release wrote it."""

FIRST_RELEASE = "0.1.0"
"""Its rows do not say."""

Upcast = Callable[[str, Any], Any]
"""Takes a key and what stands under it, and returns what is to stand there."""


def _code_caveats(key: str, item: Any) -> Any:  # noqa: ANN401 - any part of a row
    """Caveats were texts alone."""
    if key != "caveats" or not isinstance(item, list):
        return item
    return [
        {"code": CaveatCode.UNSPECIFIED.value, "text": caveat}
        if isinstance(caveat, str)
        else caveat
        for caveat in item
    ]


def _rename_origins(key: str, item: Any) -> Any:  # noqa: ANN401 - any part of a row
    """Two origins of trials had other names."""
    renamed = {
        "TRIAL_ORIGIN_PREDICTION": "TRIAL_ORIGIN_SUGGESTED",
        "TRIAL_ORIGIN_RIDGE": "TRIAL_ORIGIN_NEIGHBOUR",
    }
    return renamed.get(item, item) if key == "origin" and isinstance(item, str) else item


UPCASTS: dict[str, tuple[Upcast, ...]] = {"0.1.0": (_code_caveats, _rename_origins)}
"""By the last release that wrote the older form, oldest first."""


def upcast(data: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of a row in the form of this release."""
    written_by = _release(data.get(WRITER_VERSION, FIRST_RELEASE))
    for last, steps in UPCASTS.items():
        if written_by <= _release(last):
            for step in steps:
                data = _everywhere(data, step)
    return data


def _everywhere(data: Any, step: Upcast) -> Any:  # noqa: ANN401 - any part of a row
    if isinstance(data, dict):
        return {key: step(key, _everywhere(item, step)) for key, item in data.items()}
    if isinstance(data, list):
        return [_everywhere(item, step) for item in data]
    return data


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())
