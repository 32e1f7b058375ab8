"""The contract of the loop protocol, over modules that Lightning would train."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from bsadvise.model.task import BatchSemantics

from advisor.worker.entries.fit_call import FitCall
from advisor.worker.entries.lightning import LightningTask
from advisor.worker.loop.protocol import Task
from advisor.worker.user.hooks import Hooks
from tests.support import lightning_modules as modules
from tests.support.training_contract import TrainingContract

pytestmark = pytest.mark.filterwarnings("default")


class LightningContract(TrainingContract):
    """Trains ``module`` by a trainer with ``settings``."""

    module: ClassVar[type]
    settings: ClassVar[dict[str, Any]] = {}

    def make(self, seed: int) -> Task:
        trainer = modules.trainer(max_epochs=2, **self.settings)
        call = FitCall.of(trainer, (self.fresh(),), {"datamodule": modules.Data()})
        return LightningTask(call, Hooks(Path(), "train.py", lambda _: None), seed)

    def fresh(self) -> Any:
        """Return the module with the same weights each time, as a script that seeds does."""
        torch.manual_seed(0)
        return self.module()


class TestClassifierWithDropoutAndASchedule(LightningContract):
    module = modules.Classifier
    is_loss_a_mean = False


class TestRegressionWithClipping(LightningContract):
    module = modules.Regression
    settings: ClassVar[dict[str, Any]] = {"gradient_clip_val": 1.0, "accumulate_grad_batches": 2}
    batch_semantics = BatchSemantics.MEAN


class TestBfloat16(LightningContract):
    module = modules.Classifier
    settings: ClassVar[dict[str, Any]] = {"precision": "bf16-mixed"}
    is_loss_a_mean = False
