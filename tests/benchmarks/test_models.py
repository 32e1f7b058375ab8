"""The benchmark's models keep to the model file's contract, and train."""

from __future__ import annotations

import pytest
import torch

from benchmarks.memory_bench.card import Card, Tally
from benchmarks.memory_bench.cases import CASES, Case
from benchmarks.memory_bench.task import load_task

_WITH_TRANSFORMERS = {"bert", "vit"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_step_of_two_samples_moves_every_parameter_it_should(case: Case) -> None:
    if case.name in _WITH_TRANSFORMERS:
        pytest.importorskip("transformers")
    with Card(load_task(case.path), case.limit_bytes, Tally()) as card:
        before = [parameter.detach().clone() for parameter in card.model.parameters()]
        card.train(2, steps=1)
    for old, (name, new) in zip(before, card.model.named_parameters(), strict=True):
        assert torch.isfinite(new).all(), name
        assert new.grad is not None, name
        assert not torch.equal(old, new) or not new.grad.any(), name
