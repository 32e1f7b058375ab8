"""torch.compile: whether a model uses it, what is said then, and how to do without."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from bsadvise.model.caveats import Caveat, CaveatCode
from torch import nn

NOT_TRACED = Caveat(
    code=CaveatCode.COMPILATION_NOT_TRACED,
    text="Memory is predicted for the model without torch.compile.",
)
"""What is said of a compiled model."""


def is_compiled(model: nn.Module) -> bool:
    """Return whether torch.compile was applied to a model or to a part of it."""
    return any(
        hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )


def without_compiling() -> AbstractContextManager[Any]:
    """Return a context in which what torch.compile made runs as it was written."""
    set_stance = getattr(torch.compiler, "set_stance", None)  # torch 2.6 brought it
    return nullcontext() if set_stance is None else set_stance("force_eager")
