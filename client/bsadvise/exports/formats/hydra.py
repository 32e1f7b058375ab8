"""An option of a Hydra config group."""

from __future__ import annotations

from typing import Any

from bsadvise.exports.formats.settings import all_settings
from bsadvise.model.advice import Advice

USAGE = (
    "conf/training/advised.yaml, chosen with +training=advised, read as "
    "${training.micro_batch_size}"
)


def settings(advice: Advice) -> dict[str, Any]:
    """Return each setting under its own name."""
    return all_settings(advice)
