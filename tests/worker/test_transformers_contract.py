"""The contract of the loop protocol, over trainers of Transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bsadvise.model.task import BatchSemantics

from advisor.worker.entries.transformers import TransformersTask
from advisor.worker.loop.protocol import Task
from advisor.worker.user.hooks import Hooks
from tests.support import transformers_trainers as trainers
from tests.support.training_contract import TrainingContract

pytestmark = pytest.mark.filterwarnings("default")


class TransformersContract(TrainingContract):
    """Trains by the trainer that ``trainer`` returns."""

    @pytest.fixture(autouse=True)
    def _in(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make(self, seed: int) -> Task:
        hooks = Hooks(Path(), "train.py", lambda _: None)
        return TransformersTask(self.trainer(), hooks, seed)

    def trainer(self) -> Any:
        raise NotImplementedError


class TestClassifierWithDropout(TransformersContract):
    is_loss_a_mean = False

    def trainer(self) -> Any:
        return trainers.trainer(self.directory, trainers.bert(dropout=0.1), trainers.Sequences)


class TestLanguageModel(TransformersContract):
    def trainer(self) -> Any:
        return trainers.trainer(self.directory, trainers.llama(), trainers.FullSentences)


class TestLanguageModelWithPaddingAndNothingHeldOut(TransformersContract):
    """A step's loss is the mean over its tokens, however it is cut into micro-batches."""

    batch_semantics = BatchSemantics.WEIGHTED_MEAN

    def test_micro_batches_of_a_sum_are_added_and_their_losses_are_of_one_sample(self) -> None:
        pytest.skip("a share of the tokens of a step is not one of its micro-batches")

    def trainer(self) -> Any:
        return trainers.trainer(
            self.directory, trainers.llama(), trainers.Sentences, held_out=False, bf16=False
        )
