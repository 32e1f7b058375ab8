"""The contract of the loop protocol, over scripts with training loops of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from bsadvise.model.task import BatchSemantics

from advisor.worker.entries.own_loop.task import OwnLoopTask
from advisor.worker.loop.protocol import Task
from tests.support.own_loops import own_loop, own_loop_task
from tests.support.training_contract import TrainingContract


class OwnLoopContract(TrainingContract):
    """Runs the script of a name."""

    name: ClassVar[str]
    loader_number: ClassVar[int] = 0

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> Iterator[None]:
        self.script = own_loop(tmp_path, self.name)
        self.tasks: list[OwnLoopTask] = []
        yield
        for task in reversed(self.tasks):
            task.close()

    def make(self, seed: int) -> Task:
        self.tasks.append(own_loop_task(self.script, seed, loader_number=self.loader_number))
        return self.tasks[-1]


class TestConstantsAndBatchNormalisation(OwnLoopContract):
    name = "constants"
    is_loss_a_mean = False
    batch_semantics = BatchSemantics.BATCH_NORMALISED


class TestGradScaler(OwnLoopContract):
    name = "scaler"
    is_loss_a_mean = False


class TestOwnAccumulation(OwnLoopContract):
    name = "accumulating"


class TestValidationInBetween(OwnLoopContract):
    name = "validating"
    loader_number = 1
    is_loss_a_mean = False


class TestBatchesFetchedAhead(OwnLoopContract):
    name = "prefetching"
    is_loss_a_mean = False

    @pytest.mark.parametrize("accumulation_steps", [1])
    def test_observers_see_every_phase_in_order(self, accumulation_steps: int) -> None:
        # Of several, the second is loaded before the first is processed.
        super().test_observers_see_every_phase_in_order(accumulation_steps)
