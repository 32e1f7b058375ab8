"""Libraries that take seconds to import: imported once for all runs of a script but the first."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from gc import collect, freeze
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from advisor.worker.scripts.surroundings import Script, environment_of

_SLOW = frozenset({
    "accelerate", "datasets", "diffusers", "lightning", "matplotlib", "monai", "pandas", "peft",
    "pytorch_lightning", "scipy", "sentence_transformers", "setfit", "skimage", "sklearn", "timm",
    "torch_geometric", "torchaudio", "torchmetrics", "torchvision", "transformers", "trl",
})  # fmt: skip
"""Of libraries that are not among these nothing is known: they may start threads when they are
imported, or use the device, after either of which a process cannot be forked."""


class Libraries(MetaPathFinder):
    """Notes which of these a run imports, where others would find them as it did.

    Attributes:
        names: Their modules, in the order of their import.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._environment: dict[str, str] = {}
        self._roots: set[str] = set()

    @contextmanager
    def noted(self, copy: Path) -> Iterator[None]:
        """Note imports until the context is left.

        Args:
            copy: The copy of the script's files, which may have modules of the same names.
        """
        self._environment = dict(os.environ)
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            sys.meta_path.remove(self)
            roots = {root for root in self._roots if not _is_below(sys.modules.get(root), copy)}
            self.names = [name for name in sys.modules if _root_of(name) in roots]

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - as the protocol has it
        target: ModuleType | None = None,  # noqa: ARG002 - as above
    ) -> ModuleSpec | None:
        """Find nothing; note the name, unless the script has set variables that it may read."""
        if fullname in _SLOW and dict(os.environ) == self._environment:
            self._roots.add(fullname)
        return None


def _root_of(name: str) -> str:
    return name.partition(".")[0]


def _is_below(module: ModuleType | None, copy: Path) -> bool:
    return Path(getattr(module, "__file__", None) or "/").is_relative_to(copy)


def import_once(script: Script, names: Iterable[str]) -> None:
    """Import modules of libraries into this process, whose children then have them.

    Args:
        script: The script, whose environment they may read.
        names: Full names. Others than those of libraries that are known here are passed over.
    """
    missing = [name for name in names if _root_of(name) in _SLOW and name not in sys.modules]
    if not missing:
        return
    with environment_of(script):
        for name in missing:
            # Some of them can only be made by others; who needs them imports them.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    # What was imported is no garbage: to look at it again copies its pages in each child.
    collect()
    freeze()
