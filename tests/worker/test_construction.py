"""How models were made, and whether that is all there is to their weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import lightning.pytorch as pl
import pytest
import torch
import transformers
from torch import nn

from advisor.worker.entries.construction import Construction, Constructions
from tests.support import transformers_trainers


class Module(pl.LightningModule):  # type: ignore[misc]
    """Takes arguments of every kind, and its base before it draws."""

    def __init__(self, size: int, *more: int, bias: bool, **others: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(n, 2, bias=bias) for n in (size, *more)])
        self.others = others


class Derived(Module):
    def __init__(self, size: int = 3) -> None:
        super().__init__(size, 4, bias=False, extra=1)


class Around(pl.LightningModule):  # type: ignore[misc]
    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(2, 1)


@pytest.fixture(name="constructions")
def _constructions() -> Iterator[Constructions]:
    constructions = Constructions()
    with constructions.noted():
        yield constructions


def made(constructions: Constructions, model: nn.Module) -> Construction:
    found = constructions.of(model)
    assert found is not None
    return found


@pytest.mark.parametrize("make", [Derived, lambda: Module(2, 5, bias=True, width=1)])
def test_a_module_is_made_again_with_other_weights(
    constructions: Constructions, make: Callable[[], Module]
) -> None:
    module = make()
    construction = made(constructions, module)
    assert construction.explains(module)
    torch.manual_seed(8)
    other = copy.deepcopy(module)
    construction.redraw(other)
    assert not any(map(torch.equal, other.parameters(), module.parameters()))


def test_a_model_of_transformers(constructions: Constructions) -> None:
    model = transformers_trainers.bert()
    assert made(constructions, model).explains(model)
    kept = transformers.BertModel(model.config)
    assert made(constructions, kept).explains(kept)


def test_weights_that_come_from_elsewhere(constructions: Constructions) -> None:
    around = Around(nn.Linear(3, 2))
    assert not made(constructions, around).explains(around)
    loaded = Derived()
    loaded.load_state_dict(Derived().state_dict())
    assert not made(constructions, loaded).explains(loaded)
    random = torch.get_rng_state()
    made(constructions, loaded).explains(loaded)
    assert torch.equal(torch.get_rng_state(), random)


def test_nothing_is_noted_afterwards() -> None:
    constructions = Constructions()
    with constructions.noted():
        pass
    assert constructions.of(Derived()) is None
