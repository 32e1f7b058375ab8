"""Finds what a script has made: its modules, and which of them hold what its optimizer trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from gc import get_objects

import torch
from torch import Tensor, nn


def live_modules() -> list[nn.Module]:
    """Return all modules of this process that were made since it began to run user code."""
    # By their types: to ask an object of another library's for its class may load half of it.
    return [found for found in get_objects() if issubclass(type(found), nn.Module)]


def model_of(optimizer: torch.optim.Optimizer, modules: Sequence[nn.Module]) -> nn.Module:
    """Return the module that holds all that an optimizer trains, and what belongs to it.

    The outermost one; where there are several, or parameters of none, one made of them.

    Args:
        optimizer: The optimizer.
        modules: The script's modules.
    """
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    ids = set(map(id, trained))
    holding = [
        module for module in modules if any(id(one) in ids for one in module.parameters())
    ]  # fmt: skip
    inner = {id(child) for module in holding for child in module.modules() if child is not module}
    roots = [module for module in holding if id(module) not in inner]
    held = {id(parameter) for root in roots for parameter in root.parameters()}
    others = [parameter for parameter in trained if id(parameter) not in held]
    if len(roots) == 1 and not others:
        return roots[0]
    order = {id(parameter): place for place, parameter in enumerate(trained)}
    roots.sort(key=lambda root: min(order.get(id(p), len(order)) for p in root.parameters()))
    return ScriptModel(roots, others)


class ScriptModel(nn.Module):
    """Several modules, and tensors that are in none, as one module."""

    def __init__(self, roots: Sequence[nn.Module], others: Sequence[Tensor]) -> None:
        super().__init__()
        self.roots = nn.ModuleList(roots)
        self._others = list(others)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True  # noqa: FBT001, FBT002
    ) -> Iterator[tuple[str, nn.Parameter]]:  # fmt: skip
        """Yield the tensors of no module too, which need not be of the class Parameter."""
        yield from super().named_parameters(prefix, recurse, remove_duplicate)
        for index, tensor in enumerate(self._others):
            yield f"{prefix}others.{index}", tensor  # type: ignore[misc]
