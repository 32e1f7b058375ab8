"""The contract of the loop protocol, over a loop that shares no code with the model file's.

It is written as a user would write one by hand, with torch's own scheduler.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import torch
from bsadvise.model.task import BatchSemantics
from torch import Tensor, nn

from advisor.worker.data.random_state import random_state, restore_random_state
from advisor.worker.data.source import DataSource
from advisor.worker.loop.observers import Phase, StepObserver
from advisor.worker.loop.protocol import (
    FOR_REAL,
    BuildContext,
    StepResult,
    Task,
    TaskSettings,
    Training,
    TrainingState,
)
from advisor.worker.loop.recipe import Recipe, World
from tests.support.training_contract import TrainingContract

SIZE, HELD_OUT = 80, 16


class Ramp(DataSource):
    """Samples x = 0, 1, … over the size, y = x²; the last few are held out."""

    dataset_size = SIZE
    evaluation_size = HELD_OUT

    def __init__(self, seed: int) -> None:
        self._order = torch.randperm(SIZE, generator=torch.Generator().manual_seed(seed)).tolist()

    def training_batches(
        self, batch_size: int, *, first_sample: int = 0
    ) -> Generator[Any, None, None]:
        while True:
            ends = range(first_sample, first_sample + batch_size)
            yield self._batch([self._order[i % SIZE] for i in ends])
            first_sample += batch_size

    def stored_batches(
        self, batch_size: int, count: int, *, most_read_samples: int
    ) -> list[list[Any]]:
        return [
            list(range(begin, begin + batch_size))
            for begin in range(0, min(SIZE, count * batch_size), batch_size)
        ]

    def collate(self, samples: list[Any]) -> Any:
        return self._batch(samples)

    def held_out_batches(self, batch_size: int) -> Generator[Any, None, None]:
        for begin in range(0, HELD_OUT, batch_size):
            ends = range(begin, min(begin + batch_size, HELD_OUT))
            yield self._batch([SIZE + i for i in ends])

    def longest_batch(self, batch_size: int, sample: int | None = None) -> Any:
        return self._batch(list(range(batch_size)))

    def one_sample(self) -> Any:
        return self._batch([0])

    def _batch(self, indices: list[int]) -> Any:
        x = torch.tensor(indices, dtype=torch.float32)[:, None] / SIZE
        return x, x.pow(2)


class PlainTraining:
    """A loop by hand: one model, SGD with momentum, LambdaLR."""

    def __init__(self, task: PlainTask, recipe: Recipe, context: BuildContext) -> None:
        torch.manual_seed(recipe.seed + 1000 * recipe.replicate)
        self.recipe = recipe
        size = recipe.micro_batch_size * recipe.accumulation_steps
        self.gradient_scale: float | None = size if recipe.is_loss_sum else None
        self._losses_a_step = 1 if recipe.is_loss_sum else recipe.accumulation_steps
        self.model = context.build_model(task.build_model, lambda model: model)
        self.optimizer = context.build_optimizer(
            lambda: torch.optim.SGD(self.model.parameters(), recipe.learning_rate, momentum=0.9)
        )
        self._scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, recipe.schedule.multiplier
        )
        self._data, self._reduction = task.data, task.reduction
        self._next_sample = recipe.first_sample
        self._step_count = 0

    def step(
        self, batches: Iterator[Any] | None = None, *, observers: Sequence[StepObserver] = ()
    ) -> StepResult:
        a, b = self.recipe.accumulation_steps, self.recipe.micro_batch_size
        own = self._data.training_batches(b, first_sample=self._next_sample)
        losses = self.accumulate(own if batches is None else batches, observers=observers)
        for observer in observers:
            observer.entering(Phase.OPTIMIZER)
        (rate,) = self._scheduler.get_last_lr()
        self.optimizer.step()
        self._scheduler.step()
        for observer in observers:
            observer.entering(Phase.LOADING)
        self._step_count += 1
        self._next_sample += a * b if batches is None else 0
        return StepResult(loss=torch.stack(list(losses)).sum(), learning_rate=float(rate))

    def accumulate(
        self, batches: Iterator[Any], *, observers: Sequence[StepObserver] = ()
    ) -> Sequence[Tensor]:
        self.model.train()
        self._announce(observers, Phase.ZERO_GRAD)
        self.optimizer.zero_grad()
        losses = []
        for _ in range(self.recipe.accumulation_steps):
            self._announce(observers, Phase.LOADING)
            batch = next(batches)
            loss = self._loss(batch, observers) / self._losses_a_step
            self._announce(observers, Phase.BACKWARD)
            torch.autograd.backward(loss)
            losses.append(loss.detach() / (self.gradient_scale or 1))
        return losses

    def _loss(self, batch: Any, observers: Sequence[StepObserver]) -> Tensor:
        self._announce(observers, Phase.FORWARD)
        for observer in observers:
            observer.received(batch)
        x, y = batch
        return nn.functional.mse_loss(self.model(x), y, reduction=self._reduction)

    @staticmethod
    def _announce(observers: Sequence[StepObserver], phase: Phase) -> None:
        for observer in observers:
            observer.entering(phase)

    def evaluate(self, batch_size: int) -> float | None:
        was_training = self.model.training
        total = sum(
            (1 if self.recipe.is_loss_sum else len(batch[0])) * float(self.evaluate_batch(batch))
            for batch in self._data.held_out_batches(batch_size)
        )
        self.model.train(was_training)
        return total / HELD_OUT if math.isfinite(total) else None

    def evaluate_batch(self, batch: Any, *, observers: Sequence[StepObserver] = ()) -> Tensor:
        self.model.eval()
        with torch.no_grad():
            loss = self._loss(batch, observers)
        self._announce(observers, Phase.LOADING)
        return loss

    def state(self) -> TrainingState:
        return TrainingState(
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            schedule=self._scheduler.state_dict(),
            step_count=self._step_count,
            next_sample=self._next_sample,
            random=random_state(),
        )

    def restore(self, state: TrainingState) -> None:
        self.model.load_state_dict(state.model)
        self.optimizer.load_state_dict(copy.deepcopy(state.optimizer))
        rate = self.recipe.learning_rate
        self._scheduler.load_state_dict({**state.schedule, "base_lrs": [rate]})
        multiplier = self.recipe.schedule.multiplier(state.step_count)
        self.optimizer.param_groups[0]["lr"] = rate * multiplier
        self._scheduler._last_lr = [rate * multiplier]
        self._step_count, self._next_sample = state.step_count, state.next_sample
        restore_random_state(state.random)

    def close(self) -> None:
        """There is nothing to end."""


class PlainTask:
    """Makes plain loops."""

    settings = TaskSettings()

    def __init__(self, seed: int, *, dropout: float = 0.0, reduction: str = "mean") -> None:
        self.seed = seed
        self.reduction = reduction
        self.data: DataSource = Ramp(seed)
        self._dropout = dropout

    def build_model(self) -> nn.Module:
        return nn.Sequential(nn.Linear(1, 8), nn.Dropout(self._dropout), nn.Linear(8, 1))

    def build(
        self,
        recipe: Recipe,
        device: torch.device,
        world: World,
        context: BuildContext = FOR_REAL,
    ) -> Training:
        if world.size != 1:
            raise ValueError("a plain loop is one process")
        return PlainTraining(self, recipe, context)


class TestPlainLoop(TrainingContract):
    def make(self, seed: int) -> Task:
        return PlainTask(seed)


class TestPlainLoopWithDropout(TrainingContract):
    is_loss_a_mean = False

    def make(self, seed: int) -> Task:
        return PlainTask(seed, dropout=0.3)


class TestPlainLoopWithASum(TrainingContract):
    is_loss_a_mean = False
    batch_semantics = BatchSemantics.SUM

    def make(self, seed: int) -> Task:
        return PlainTask(seed, reduction="sum")
