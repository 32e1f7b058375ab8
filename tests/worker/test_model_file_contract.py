"""The contract of the loop protocol, over model files of every kind."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import ClassVar

import pytest
from bsadvise.model.task import BatchSemantics
from bsadvise.v1 import recommendation_pb2

from advisor.pipe.v1 import pipe_pb2
from advisor.worker.entries.registry import make_task
from advisor.worker.loop.protocol import Task
from tests.support.training_contract import TrainingContract
from tests.support.worker_bench import Bench

DATA = """
    import torch
    from torch import nn

    def build_dataset():
        x = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
        return torch.utils.data.TensorDataset(x, x.pow(2).sum(1, keepdim=True))
"""
MLP = """
    def build_model():
        return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
"""
DROPOUT = """
    def build_model():
        return nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.3), nn.Linear(16, 1))
"""


class ModelFileContract(TrainingContract):
    """Loads ``source`` in a directory of its own."""

    source: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _written(self, bench: Bench) -> None:
        parts = map(textwrap.dedent, (DATA, self.source))
        bench.write("\n".join(parts))
        self.directory = bench.directory

    def make(self, seed: int) -> Task:
        job = pipe_pb2.Job(
            source_dir=str(Path(self.directory) / "bundle"),
            entry_path="model.py",
            seed=seed,
            entry_kind=recommendation_pb2.ENTRY_KIND_MODEL_FILE,
        )
        return make_task(job, lambda _: None)


class TestMlpInDoublePrecision(ModelFileContract):
    source = (
        MLP
        + """
    def build_dataset():
        x = torch.randn(96, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        return torch.utils.data.TensorDataset(x, x.pow(2).sum(1, keepdim=True))

    def build_model():
        return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1)).double()
"""
    )
    tolerance = 1e-12


class TestMomentum(ModelFileContract):
    source = (
        MLP
        + """
    def build_optimizer(params, lr):
        return torch.optim.SGD(params, lr, momentum=0.9, nesterov=True)
"""
    )


class TestDropoutWithAdam(ModelFileContract):
    source = DROPOUT
    is_loss_a_mean = False


class TestConvolutionWithBatchNormalisation(ModelFileContract):
    source = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(1, 4, 3)
            self.norm = nn.BatchNorm1d(4)
            self.head = nn.Linear(16, 1)

        def forward(self, x):
            return self.head(self.norm(self.conv(x[:, None])).flatten(1))

    def build_model():
        return Net()
"""
    is_loss_a_mean = False
    batch_semantics = BatchSemantics.BATCH_NORMALISED


class TestStreamThatDrawsAtRandom(ModelFileContract):
    source = (
        DROPOUT
        + """
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            for i in range(150):
                x = torch.full((6,), i / 150) + 0.1 * torch.randn(6)
                yield x, x.sum().reshape(1)

    def build_dataset():
        return Stream()
"""
    )
    is_loss_a_mean = False


class TestAugmentationWithPythonAndNumpy(ModelFileContract):
    source = (
        MLP
        + """
    import random
    import numpy

    class Augmented(torch.utils.data.Dataset):
        def __len__(self):
            return 96

        def __getitem__(self, index):
            x = torch.full((6,), index / 96) * random.random()
            return x + numpy.random.normal(), x.sum().reshape(1)

    def build_dataset():
        return Augmented()
"""
    )
    is_loss_a_mean = False


class TestFloat16WithAGradScaler(ModelFileContract):
    source = (
        DROPOUT
        + """
    PRECISION = "fp16"
"""
    )
    is_loss_a_mean = False


class TestBfloat16(ModelFileContract):
    source = (
        DROPOUT
        + """
    PRECISION = "bf16"
"""
    )
    is_loss_a_mean = False


class TestEvaluationThatDraws(ModelFileContract):
    source = (
        DROPOUT
        + """
    def evaluate(model, loader):
        torch.rand(3)
        return sum(float(model(x).pow(2).mean()) for x, _ in loader)
"""
    )
    is_loss_a_mean = False


class TestStateInGroupsAndBuffers(ModelFileContract):
    """An optimizer that keeps state in its groups, a buffer that state_dict leaves out."""

    source = """
    class Centred(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 1)
            self.register_buffer("mean", torch.zeros(6), persistent=False)

        def forward(self, x):
            if self.training:
                self.mean.mul_(0.9).add_(0.1 * x.detach().mean(0))
            return self.linear(x - self.mean)

    class Growing(torch.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                group["momentum"] = min(0.9, group["momentum"] + 0.1)
                group["taken"] = group.get("taken", 0) + 1
            return super().step(closure)

    def build_model():
        return Centred()

    def build_optimizer(params, lr):
        return Growing(params, lr=lr, momentum=0.1)
"""
    is_loss_a_mean = False
    keeps_state = True


class TestLoaderProcesses(ModelFileContract):
    source = (
        DROPOUT
        + """
    NUM_WORKERS = 1
"""
    )
    is_loss_a_mean = False


class TestSumOverTheBatch(ModelFileContract):
    source = (
        MLP
        + """
    def loss_fn(model, batch):
        x, y = batch
        return (model(x) - y).pow(2).sum() / 100

    def build_optimizer(params, lr):
        return torch.optim.SGD(params, lr / 10, momentum=0.9)
"""
    )
    is_loss_a_mean = False
    batch_semantics = BatchSemantics.SUM


class TestMeanWithWeights(ModelFileContract):
    source = (
        MLP
        + """
    def loss_fn(model, batch):
        x, y = batch
        weights = 1 + 9 * (x[:, :1] > 0)
        return (weights * (model(x) - y).pow(2)).sum() / weights.sum()
"""
    )
    is_loss_a_mean = False
    batch_semantics = BatchSemantics.WEIGHTED_MEAN


class TestNegativesFromTheBatch(ModelFileContract):
    source = """
    def build_model():
        return nn.Linear(6, 4)

    def loss_fn(model, batch):
        x, _ = batch
        one, other = model(x), model(x.flip(1))
        return nn.functional.cross_entropy(one @ other.T, torch.arange(len(x)))
"""
    is_loss_a_mean = False
    batch_semantics = BatchSemantics.COUPLED


class TestStatisticsOfTheBatchInTrainingAlone(ModelFileContract):
    source = """
    class Centred(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 1)

        def forward(self, x):
            return self.linear(x - x.mean(0) if self.training else x)

    def build_model():
        return Centred()
"""
    is_loss_a_mean = False
    batch_semantics = BatchSemantics.COUPLED
