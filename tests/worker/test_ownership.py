"""Whose a fault is: what our own hooks raise is never called the user's, nor theirs ours."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from bsadvise.model.commands import InspectTask, RunStep, Train
from bsadvise.model.measurements import FaultCode

from advisor.worker.loop import noise
from advisor.worker.loop.allocation_tracker import AllocationTracker
from tests.support.worker_bench import LIMIT_S, Bench, fault_of

BASE = """\
import torch
from torch import nn
from torch.nn import functional as F
def build_model():
    return nn.Linear(4, 3)
def build_dataset():
    return torch.utils.data.TensorDataset(torch.randn(96, 4), torch.arange(96) % 3)
"""
FIRST = BASE.count("\n") + 1
LOSS = "def loss_fn(model, batch):\n    return F.cross_entropy(model(batch[0]), batch[1])\n"

INSPECT = InspectTask(time_limit_s=LIMIT_S)
RUN = RunStep(time_limit_s=LIMIT_S, micro_batch_size=4)
TRAIN = Train(
    time_limit_s=LIMIT_S, micro_batch_size=4, accumulation_steps=2, learning_rate=0.01,
    step_count=2, evaluation_batch_size=4, measure_noise=True,
)  # fmt: skip
WHOLE_STREAM = replace(TRAIN, micro_batch_size=100, step_count=9)


def fail(*_: object) -> torch.Tensor:
    raise RuntimeError("not implemented for such tensors")


@pytest.mark.parametrize("loss", ["", LOSS])
def test_a_defect_in_a_hook_of_ours_on_gradients_is_ours(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    bench.write(BASE + loss)
    monkeypatch.setattr(noise, "_square", fail)
    fault = fault_of(bench.worker(), TRAIN)
    assert fault.code is FaultCode.WORKER
    assert fault.message.startswith("bsadvise itself failed (please report it): RuntimeError: not")
    assert (fault.hook, fault.file) == (None, None)
    assert "noise.py" in (fault.traceback or "")


def test_a_defect_beneath_the_users_forward_pass_is_ours(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write(BASE + LOSS)
    monkeypatch.setattr(AllocationTracker, "_admit", fail)
    assert fault_of(bench.worker(), RUN).code is FaultCode.WORKER


FUNCTION = """\
class Thorn(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()
    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("no way back")
"""
HOOKED = """\
def build_model():
    model = nn.Linear(4, 3)
    def see(gradient):
        raise KeyError("gone")
    model.weight.register_hook(see)
    return model
"""
DISPATCHED = """\
from torch.utils._python_dispatch import TorchDispatchMode
class Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        raise ValueError("not dispatched")
def loss_fn(model, batch):
    with Mode():
        return model(batch[0]).mean()
"""
STREAM = """\
class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return 5
def build_dataset():
    return Stream()
"""
SHORT_STREAM = """\
class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield from [torch.randn(4)] * 600
        raise OSError("the disk is gone")
def build_dataset():
    return Stream()
def loss_fn(model, batch):
    return model(batch).mean()
"""
BATCH = """\
class Batch:
    def __init__(self, samples):
        self.x = torch.stack([x for x, _ in samples])
    def to(self, device):
        raise AttributeError("cannot be moved")
collate_fn = Batch
def loss_fn(model, batch):
    return model(batch.x).mean()
"""
RECURSIVE = """\
def loss_fn(model, batch):
    return loss_fn(model, (batch[0] + 1, batch[1]))
"""
SHAPES = "def loss_fn(model, batch):\n    return model(batch[0][:, :2]).mean()\n"


@pytest.mark.parametrize(
    ("source", "command", "hook", "line", "words"),
    [
        (FUNCTION + LOSS.replace("model(batch[0])", "Thorn.apply(model(batch[0]))"), RUN,
         "loss_fn", FIRST + 6, "no way back"),
        (HOOKED, TRAIN, "loss_fn", FIRST + 3, "gone"),
        (DISPATCHED, RUN, "loss_fn", FIRST + 3, "not dispatched"),
        (STREAM, INSPECT, "build_dataset", None, "TypeError"),
        (SHORT_STREAM, WHOLE_STREAM, "build_dataset", FIRST + 3, "the disk is gone"),
        (BATCH, RUN, None, FIRST + 4, "cannot be moved"),
        (RECURSIVE, RUN, "loss_fn", FIRST + 1, "RecursionError"),
        (SHAPES, RUN, "loss_fn", FIRST + 1, "mat1 and mat2"),
        ("def build_optimizer(p):\n    return None\n", RUN, "build_optimizer", None, "takes 1"),
    ],
)  # fmt: skip
def test_what_user_code_raises_is_the_users(
    bench: Bench,
    source: str,
    command: InspectTask | RunStep | Train,
    hook: str | None,
    line: int | None,
    words: str,
) -> None:
    bench.write(BASE + source)
    fault = fault_of(bench.worker(), command)
    assert fault.code is FaultCode.USER_EXCEPTION, fault
    assert (fault.hook, fault.line) == (hook, line)
    assert words in fault.message
    assert "advisor" not in (fault.traceback or "")


def test_labels_out_of_range_are_the_users_though_the_loss_is_ours(bench: Bench) -> None:
    bench.write(BASE.replace("% 3", "% 5"))
    fault = fault_of(bench.worker(), TRAIN)
    assert (fault.code, fault.hook) == (FaultCode.USER_EXCEPTION, "loss_fn")
    assert "labels run from 0" in str(fault)
