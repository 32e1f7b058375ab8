"""The models, and the memory limit of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20

_MODELS = Path(__file__).parents[1] / "models"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One search: a model file and a limit.

    Attributes:
        path: The model file.
        limit_bytes: The most bytes that live tensors may take.
    """

    path: Path
    limit_bytes: int

    @property
    def name(self) -> str:
        """The model's name."""
        return self.path.stem


def _case(name: str, limit_mib: int) -> Case:
    return Case(path=_MODELS / f"{name}.py", limit_bytes=limit_mib * MIB)


# Chosen so that some hundreds to a few thousand samples fit, and that the whole run takes about
# ten minutes on an idle machine. On a GPU a step of that many takes longer.
CASES = (
    _case("mlp", 128),
    _case("cnn", 320),
    _case("resnet", 320),
    _case("unet", 320),
    _case("lstm", 384),
    _case("gpt", 384),
    _case("bert", 384),
    _case("vit", 320),
)

WARM_UP = _case("gpt", 24)
"""What each tool searches before its clock runs, so that none is timed while it loads itself."""
