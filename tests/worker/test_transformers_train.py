"""Trainings by the loop protocol are those of Transformers' own ``train``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from advisor.worker.entries.transformers import TransformersTask
from advisor.worker.loop.recipe import SINGLE_PROCESS, Recipe
from advisor.worker.user.hooks import Hooks
from tests.support import transformers_trainers as trainers

pytestmark = pytest.mark.filterwarnings("default")

CPU = torch.device("cpu")


def task_of(trainer: Any, seed: int = 3) -> TransformersTask:
    return TransformersTask(trainer, Hooks(Path(), "train.py", lambda _: None), seed)


def steps_of(task: TransformersTask, recipe: Recipe, seen: list[Any], count: int) -> Tensor:
    with closing(task.build(recipe, CPU, SINGLE_PROCESS)) as training:
        batches = iter(seen)
        return torch.stack([training.step(batches).loss for _ in range(count)])


def test_a_classifier_with_a_falling_rate(tmp_path: Path) -> None:
    settings: Any = {"num_train_epochs": 2, "warmup_steps": 5, "label_smoothing_factor": 0.1}
    real = trainers.trainer(
        tmp_path, trainers.bert(), trainers.Sequences, trainers.Recording, **settings
    )
    task = task_of(trainers.trainer(tmp_path, trainers.bert(), trainers.Sequences, **settings))
    real.train()
    assert task.settings.reference_batch_size == 6
    assert task.settings.reference_learning_rate == 5e-3
    own = task.own_schedule
    recipe = Recipe(micro_batch_size=6, learning_rate=5e-3, schedule=own.schedule)
    losses = steps_of(task, recipe, real.seen, 30)
    torch.testing.assert_close(losses, torch.stack(real.told[:30]), rtol=0, atol=0)
    assert len(real.told) == 40


def test_a_language_model_whose_losses_are_of_the_tokens_of_a_whole_step(tmp_path: Path) -> None:
    settings: Any = {
        "max_steps": 24,
        "gradient_accumulation_steps": 4,
        "max_grad_norm": 0.3,
        "lr_scheduler_type": "cosine",
    }
    real = trainers.trainer(
        tmp_path, trainers.llama(), trainers.Sentences, trainers.Recording, **settings
    )
    task = task_of(trainers.trainer(tmp_path, trainers.llama(), trainers.Sentences, **settings))
    real.train()
    assert task.settings.reference_batch_size == 24
    recipe = Recipe(
        micro_batch_size=6,
        accumulation_steps=4,
        learning_rate=5e-3,
        schedule=task.own_schedule.schedule,
    )
    losses = steps_of(task, recipe, real.seen, 20)
    shares = [torch.stack(real.told[i : i + 4]).sum() for i in range(0, 80, 4)]
    torch.testing.assert_close(losses, torch.stack(shares), rtol=0, atol=0)


def test_a_model_that_takes_no_notice_of_the_items_of_a_step_is_told_of(tmp_path: Path) -> None:
    settings: Any = {"max_steps": 20, "gradient_accumulation_steps": 2}
    real = trainers.trainer(
        tmp_path, trainers.bert(), trainers.Sequences, trainers.Recording, **settings
    )
    real.loss_is_scaled_for_ga = False  # What the caveat says to do.
    real.train()
    task = task_of(trainers.trainer(tmp_path, trainers.bert(), trainers.Sequences, **settings))
    (caveat,) = task.settings.caveats
    assert "loss_is_scaled_for_ga = False" in caveat.text
    recipe = Recipe(
        micro_batch_size=6,
        accumulation_steps=2,
        learning_rate=5e-3,
        schedule=task.own_schedule.schedule,
    )
    losses = steps_of(task, recipe, real.seen, 20)
    shares = [torch.stack(real.told[i : i + 2]).sum() for i in range(0, 40, 2)]
    torch.testing.assert_close(losses, torch.stack(shares), rtol=0, atol=0)
