"""Trainings by the loop protocol are those of Lightning's own ``fit``."""

from __future__ import annotations

import copy
from contextlib import closing
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor

from advisor.worker.entries.fit_call import FitCall
from advisor.worker.entries.lightning import LightningTask
from advisor.worker.loop.recipe import SINGLE_PROCESS, Recipe
from advisor.worker.user.hooks import Hooks
from tests.support import lightning_modules as modules

# Lightning warns of its own use of torch, and of what a small training lacks.
pytestmark = pytest.mark.filterwarnings("default")

CPU = torch.device("cpu")


def task_of(trainer: Any, *args: Any, seed: int = 3, **kwargs: Any) -> LightningTask:
    hooks = Hooks(Path(), "train.py", lambda _: None)
    return LightningTask(FitCall.of(trainer, args, kwargs), hooks, seed)


class Batches(pl.Callback):  # type: ignore[misc]
    """Keeps the batches that are trained on."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
        self.seen.append(batch)


def fitted(trainer: Any, module: Any, **data: Any) -> list[Any]:
    """Fit a module for real, and return the batches that it saw."""
    batches = Batches()
    trainer.callbacks.append(batches)
    trainer.fit(module, **data)
    return batches.seen


def steps_of(told: list[Tensor], accumulation_steps: int) -> list[Tensor]:
    """Return the mean losses of steps, given those of their micro-batches."""
    whole = range(0, len(told) - accumulation_steps + 1, accumulation_steps)
    shares = [
        [loss / accumulation_steps for loss in told[i : i + accumulation_steps]] for i in whole
    ]
    return [torch.stack(share).sum() for share in shares]


def test_a_classifier_with_a_data_module_and_one_cycle() -> None:
    module = modules.Classifier()
    task = task_of(modules.trainer(max_epochs=2), copy.deepcopy(module), datamodule=modules.Data())
    seen = fitted(modules.trainer(max_epochs=2), module, datamodule=modules.Data())
    own = task.own_schedule
    assert own.peak_rate == pytest.approx(0.05)
    assert task.settings.reference_batch_size == 8
    recipe = Recipe(micro_batch_size=8, learning_rate=0.05, schedule=own.schedule)
    with closing(task.build(recipe, CPU, SINGLE_PROCESS)) as training:
        results = [training.step(iter([batch])) for batch in seen[:25]]
    assert [r.learning_rate for r in results] == pytest.approx(module.rates[:25], rel=1e-12)
    torch.testing.assert_close(
        torch.stack([r.loss for r in results]), torch.stack(module.told[:25]), rtol=0, atol=0
    )


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_accumulation_with_clipping_and_a_schedule_by_the_epoch(algorithm: str) -> None:
    settings = {
        "max_epochs": 4,
        "accumulate_grad_batches": 3,
        "gradient_clip_val": 0.5,
        "gradient_clip_algorithm": algorithm,
    }
    module = modules.Regression()
    loader = torch.utils.data.DataLoader(modules.dataset(126, 0), batch_size=6, shuffle=True)
    task = task_of(modules.trainer(**settings), copy.deepcopy(module), loader)
    seen = fitted(modules.trainer(**settings), module, train_dataloaders=loader)
    assert task.settings.reference_batch_size == 18
    recipe = Recipe(
        micro_batch_size=6,
        accumulation_steps=3,
        learning_rate=0.02,
        schedule=task.own_schedule.schedule,
    )
    with closing(task.build(recipe, CPU, SINGLE_PROCESS)) as training:
        batches = iter(seen)
        losses = [training.step(batches).loss for _ in range(20)]
    torch.testing.assert_close(
        torch.stack(losses), torch.stack(steps_of(module.told, 3)[:20]), rtol=0, atol=0
    )


def test_a_module_that_optimizes_by_itself_is_run_as_it_is() -> None:
    module = modules.Adversaries()
    data = {"datamodule": modules.Data()}
    task = task_of(modules.trainer(max_epochs=2), copy.deepcopy(module), **data)
    assert "automatic_optimization" in task.settings.caveats[0].text
    assert task.data.is_synthetic
    seen = fitted(modules.trainer(max_epochs=2), module, **data)
    recipe = Recipe(micro_batch_size=8, learning_rate=1e-2)
    with closing(task.build(recipe, CPU, SINGLE_PROCESS)) as training:
        rates = [group["lr"] for group in training.optimizer.param_groups]
        assert rates == pytest.approx([1e-2, 5e-2])
        batches = iter(seen)
        losses = [training.step(batches).loss for _ in range(20)]
        before = copy.deepcopy(training.model.state_dict())
        training.evaluate_batch(seen[0])
        after = training.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    torch.testing.assert_close(torch.stack(losses), torch.stack(module.told[:20]), rtol=0, atol=0)
