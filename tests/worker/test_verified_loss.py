"""Verification tells the first step whose loss was not finite."""

from __future__ import annotations

import pytest
from bsadvise.model.commands import Verify
from bsadvise.model.measurements import Verification

from tests.support.worker_bench import LIMIT_S, Bench, outcome_of

MODEL = """
    import torch

    SEEN = []

    def build_model():
        return torch.nn.Linear(4, 1)

    def make_batch(batch_size):
        return torch.ones(batch_size, 4), torch.ones(batch_size, 1)

    def loss_fn(model, batch):
        x, y = batch
        SEEN.append(torch.is_grad_enabled())
        factor = float("nan") if SEEN.count(True) in {broken} else 1.0
        return factor * (model(x) - y).pow(2).mean()

    def build_optimizer(params, lr):
        return torch.optim.SGD(params, 0.0)
"""


@pytest.mark.parametrize(
    ("broken", "step", "is_final_finite"),
    [((), None, True), ((4,), 4, False), ((3, 4), 3, False)],
)
def test_the_first_broken_step_is_told(
    bench: Bench, broken: tuple[int, ...], step: int | None, is_final_finite: bool
) -> None:
    bench.write(MODEL.replace("{broken}", repr(broken)))
    verify = Verify(
        time_limit_s=LIMIT_S,
        micro_batch_size=2,
        accumulation_steps=1,
        learning_rate=0.1,
        step_count=4,
    )
    run = outcome_of(bench.worker(), verify, Verification)
    assert run.not_finite_step == step
    assert (run.final_loss is not None) is is_final_finite
    assert run.is_finite is (step is None)
