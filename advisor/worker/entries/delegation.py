"""A task that stands for another, which running the user's code shows."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from advisor.worker.data.source import DataSource
from advisor.worker.loop.protocol import FOR_REAL, BuildContext, Task, TaskSettings, Training
from advisor.worker.loop.recipe import Recipe, World


class DelegatingTask(ABC):
    """Implements ``Task`` by the task that it finds when it is first needed.

    Attributes:
        seed: The job's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @property
    @abstractmethod
    def task(self) -> Task:
        """The task, found once. Raises UserCodeFailed where the user's code ends before that."""

    @property
    def settings(self) -> TaskSettings:
        """What the code says about its own training."""
        return self.task.settings

    @property
    def data(self) -> DataSource:
        """The data that it trains with."""
        return self.task.data

    def build(
        self, recipe: Recipe, device: torch.device, world: World, context: BuildContext = FOR_REAL
    ) -> Training:
        """Return a training with fresh weights.

        Raises:
            UserCodeFailed: The code raised, or there is nothing in it that can be trained.
        """
        return self.task.build(recipe, device, world, context)
