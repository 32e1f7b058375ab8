"""What is wrong with a model file is said with its line, and with the line to write."""

from __future__ import annotations

import pytest
from bsadvise.model.commands import InspectTask
from bsadvise.model.measurements import Fault

from tests.support.worker_bench import LIMIT_S, Bench, fault_of

INSPECT = InspectTask(time_limit_s=LIMIT_S)

BASE = """\
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset
from torch.utils.checkpoint import checkpoint
def build_model():
    return nn.Linear(4, 3)
def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.arange(96) % 3)
"""
FIRST = BASE.count("\n") + 1
"""The line after it."""

OPTIMIZER = "def build_optimizer(params, lr):\n    one = torch.optim.SGD(params, lr)\n"
LORA = """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Linear(4, 3).requires_grad_(False)
        self.bias = nn.Parameter(torch.zeros(3))
    def forward(self, x):
        return checkpoint(lambda x: self.base(x) + self.bias, x, use_reentrant=True)
def build_model():
    return Net()
"""
FIXED = """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)
    def forward(self, x):
        return self.head(torch.cat([x, torch.zeros(16, 4)], 1))
def build_model():
    return Net()
"""
TUPLE = """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)
    def forward(self, x{targets}):
        out = self.head(x)
        return {output}
def build_model():
    return Net()
"""

CASES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "several optimizers": (
        OPTIMIZER + "    two = torch.optim.Adam(params, lr)\n    return one, two\n",
        3,
        ("2 optimizers: SGD and Adam", "make_batch for memory and speed", "a group for each"),
    ),
    "a schedule beside it": (
        OPTIMIZER + "    return one, torch.optim.lr_scheduler.StepLR(one, 5)\n",
        2,
        ("a schedule: SGD and StepLR", "`return optimizer`"),
    ),
    "a model that is expected": (
        "def build_optimizer(model, lr):\n    return torch.optim.SGD(model.parameters(), lr)\n",
        1,
        ("a list of the parameters to train, not the model",),
    ),
    "LBFGS": (
        "def build_optimizer(params, lr):\n    return torch.optim.LBFGS(params, lr)\n",
        1,
        ("need a closure", "`return torch.optim.SGD(params, lr, momentum=0.9)`"),
    ),
    "sparse gradients": (
        (
            "def build_model():\n    return nn.EmbeddingBag(9, 3, sparse=True)\n"
            "def build_dataset():\n    x = torch.randint(9, (96, 2))\n"
            "    return TensorDataset(x, x[:, 0] % 3)\n"
        ),
        1,
        ("`sparse=False`",),
    ),
    "a wrapper": (
        "def build_model():\n    return nn.DataParallel(nn.Linear(4, 3))\n",
        1,
        ("DataParallel", "`--gpus N`"),
    ),
    "a distributed wrapper": (
        "def build_model():\n    return nn.parallel.DistributedDataParallel(nn.Linear(4, 3))\n",
        1,
        ("`--gpus N`",),
    ),
    "a loss beside logs": (
        "def loss_fn(model, batch):\n    return F.cross_entropy(model(batch[0]), batch[1]), {}\n",
        0,
        ("a tuple, not a tensor", "Return the loss alone"),
    ),
    "re-entrant checkpointing": (LORA, 6, ("use_reentrant=False",)),
    "one batch size": (
        "REFERENCE_BATCH_SIZE = 16\n" + FIXED,
        6,
        ("one batch size only: 16 samples work", "2 or 17 do not", "`x.shape[0]` in place of 16"),
    ),
    "multiples of four": (
        (
            "def loss_fn(model, batch):\n    x, y = batch\n    assert len(x) % 4 == 0, 'fours'\n"
            "    return F.cross_entropy(model(x), y)\n"
        ),
        2,
        ("some batch sizes only: 32 and 64 samples work", "2 or 33 do not", "fours"),
    ),
    "a loss beside the output": (
        TUPLE.format(targets="", output="out, out.pow(2).mean()"),
        4,
        ("return model(batch[0])[1]",),
    ),
    "a loss where targets are given": (
        TUPLE.format(
            targets=", y=None", output="out, None if y is None else F.cross_entropy(out, y)"
        ),
        4,
        ("return model(*batch)[1]",),
    ),
    "logits beside a state": (
        TUPLE.format(targets="", output="None, out"),
        4,
        ("cross_entropy(model(batch[0])[1], batch[1])",),
    ),
    "a batch of None": (
        "def collate_fn(samples):\n    return None\n",
        1,
        ("collate_fn gives None for a batch", "Subset(dataset, kept)"),
    ),
    "a sample of None": (
        (
            "class Data(torch.utils.data.Dataset):\n    def __len__(self):\n        return 9\n"
            "    def __getitem__(self, index):\n        return torch.zeros(4), None\n"
            "def build_dataset():\n    return Data()\n"
        ),
        3,
        ("is None", "Subset(dataset, kept)"),
    ),
}


def fault(bench: Bench, source: str) -> Fault:
    bench.write(source)
    return fault_of(bench.worker(), INSPECT)


@pytest.mark.filterwarnings("default")  # As in a worker.
@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_named_with_its_line_and_its_remedy(bench: Bench, case: str) -> None:
    source, line, words = CASES[case]
    found = fault(bench, BASE + source)
    assert (found.file, found.line) == ("model.py", FIRST + line)
    for text in words:
        assert text in str(found)


SCRIPT = """\
import os
os.remove("ran")
import torch
model = torch.nn.Linear(4, 3)
loss = model(torch.randn(8, 4)).sum()
loss.backward()
"""
LIGHTNING = """\
# It has no build_model.
import lightning as L
class Digits(L.LightningModule):
    def training_step(self, batch, batch_idx):
        return 0
"""


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        (SCRIPT, 6, ("This is a script", "`loss.backward()`", "def build_model():")),
        (LIGHTNING, 3, ("`Digits` is a LightningModule", "return model.training_step(batch, 0)")),
    ],
)
def test_another_kind_of_file_is_named_and_not_run(
    bench: Bench, source: str, line: int, words: tuple[str, ...]
) -> None:
    bench.write("", "ran")
    found = fault(bench, source)
    assert (found.file, found.line) == ("model.py", line)
    for text in words:
        assert text in str(found)
    assert (bench.directory / "bundle" / "ran").exists()


def test_a_model_that_needs_many_samples_is_not_said_to_take_one_size(bench: Bench) -> None:
    source = "def loss_fn(model, batch):\n    return model(batch[0]).sum(1).topk(5).values.mean()\n"
    found = fault(bench, BASE + source)
    assert "one batch size only" not in str(found)
    assert found.line == FIRST + 1
