"""What a script was seen to train with."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from bsadvise.cli.render.views.layout import bullets, sections
from bsadvise.model.advice import Advice
from bsadvise.model.caveats import CaveatCode, worst_first

_SHOWN = ("device", "reference", "caveats", "search", "sandbox", "fingerprint")


def observation_view(advice: Advice) -> RenderableType:
    """Return what was found for a person: one line to check, and what to know of it."""
    caveats = [
        one.text for one in worst_first(advice.caveats) if one.code != CaveatCode.OBSERVED_ONLY
    ]
    return sections(
        ("", Text(f"found: {advice.reference}", no_wrap=True, overflow="ignore")),
        ("Caveats", bullets(caveats) if caveats else None),
    )


def observation_document(advice: Advice) -> dict[str, Any]:
    """Return what was found for programs, without the fields of what was not looked for."""
    document = advice.to_dict()
    return {name: document[name] for name in _SHOWN}
