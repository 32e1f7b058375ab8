"""Memory savings: what would let a larger micro-batch fit, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType

from bsadvise.cli.render.views.layout import table_of
from bsadvise.model.advice import LeverGain
from bsadvise.model.commands import Lever
from bsadvise.model.units import format_bytes

_WORDS = {
    Lever.BF16: "PRECISION = 'bf16' (autocast)",
    Lever.CHECKPOINTING: "gradient checkpointing of the repeated blocks",
    Lever.FUSED_OPTIMIZER: "fused=True for the optimizer",
    Lever.EIGHT_BIT_OPTIMIZER: "an 8-bit optimizer (bitsandbytes)",
    Lever.SGD: "SGD with momentum in place of Adam",
    Lever.BUCKET_VIEW: "gradient_as_bucket_view=True for DistributedDataParallel",
}


def memory_savings_view(gains: Sequence[LeverGain]) -> RenderableType:
    """Return what each memory saving would do, for a person."""
    rows = [
        (
            _WORDS.get(gain.lever, str(gain.lever)),
            f"{gain.max_micro_batch_size:,}",
            format_bytes(gain.saved_bytes),
        )
        for gain in gains
    ]
    head = ("", "largest micro-batch", "saves")
    return table_of(head, rows, figures=head[1:])
