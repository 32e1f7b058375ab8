"""Models whose tensors are not all of dense real numbers get figures of every command."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from bsadvise.model.commands import (
    Command,
    CompareOrders,
    Evaluate,
    InspectTask,
    Lever,
    RangeTest,
    RunStep,
    TraceMemory,
    Train,
    Verify,
)
from bsadvise.model.measurements import Failed, FaultCode, MemoryTrace, TrainRun
from bsadvise.model.task import BatchSemantics, TaskProfile

from advisor.worker.user.real_values import real_values
from tests.support.worker_bench import LIMIT_S, Bench, fault_of, outcome_of
from tests.support.zoo import MODELS

pytestmark = [  # Of PyTorch, once a process.
    pytest.mark.filterwarnings(f"ignore:{words}")
    for words in ("Sparse ", "The PyTorch API of nested", "Casting complex values")
]

BASE = """\
import torch
from torch import nn
from torch.nn import functional as F
def build_dataset():
    return torch.utils.data.TensorDataset(torch.randn(400, 4), torch.arange(400) % 3)
"""
ODD = """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(4, 3), nn.Linear(4, 3)
        self.other.weight = self.one.weight
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.empty = nn.Parameter(torch.empty(0, 3))
        self.unused = nn.Parameter(torch.randn(3))
        for i, dtype in enumerate((torch.int64, torch.bool, torch.uint8, torch.float8_e4m3fn)):
            frozen = nn.Parameter(torch.ones(3).to(dtype), requires_grad=False)
            self.register_parameter(f"frozen_{i}", frozen)
        self.register_buffer("phase", torch.ones(3, dtype=torch.complex64), persistent=False)
    def forward(self, x):
        return (self.one(x) + self.other(x)) * self.scale + self.empty.sum() + self.phase.real
def build_model():
    return Net()
def build_optimizer(params, lr):
    return torch.optim.AdamW([*params, nn.Parameter(torch.ones(2), requires_grad=False)], lr)
"""
SPARSE = """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.mix = nn.Parameter(torch.eye(4).to_sparse())
        self.register_buffer("rows", torch.eye(4).to_sparse_csr())
        self.register_buffer("columns", torch.eye(4).to_sparse_csc())
    def forward(self, x):
        return self.head(torch.sparse.mm(self.mix, x.t()).t())
def build_model():
    return Net()
def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr)
"""
DOUBLE = """\
def build_model():
    return nn.Linear(4, 3).double()
def loss_fn(model, batch):
    return F.cross_entropy(1e25 * model(batch[0].double()), batch[1])
"""
NESTED = """\
def build_model():
    return nn.Linear(4, 3)
def collate_fn(samples):
    rows = [x.expand(1 + int(y), 4) for x, y in samples]
    return torch.nested.nested_tensor(rows), torch.tensor([int(y) for _, y in samples])
def loss_fn(model, batch):
    return F.cross_entropy(torch.stack([x.mean(0) for x in model(batch[0]).unbind()]), batch[1])
"""
JAGGED = NESTED.replace("tensor(rows)", "tensor(rows, layout=torch.jagged)")
COMPLEX = (MODELS / "complex_weights.py").read_text(encoding="utf-8")
COMPLEX_FP16 = """\
PRECISION = "fp16"
def build_model():
    return nn.Linear(4, 3, dtype=torch.cfloat)
def loss_fn(model, batch):
    return F.cross_entropy(model(batch[0].cfloat()).abs(), batch[1])
"""

TRAIN = Train(
    time_limit_s=LIMIT_S, micro_batch_size=4, accumulation_steps=2, learning_rate=1e-3,
    step_count=6, evaluation_batch_size=8, measure_noise=True, save_checkpoint="six",
)  # fmt: skip
COMMANDS: tuple[Command, ...] = (
    InspectTask(time_limit_s=LIMIT_S),
    TraceMemory(time_limit_s=LIMIT_S, micro_batch_size=4),
    RunStep(time_limit_s=LIMIT_S, micro_batch_size=4),
    TRAIN,
    replace(TRAIN, start_checkpoint="six", first_sample=48, save_checkpoint=None),
    Evaluate(time_limit_s=LIMIT_S, checkpoint="six", evaluation_batch_size=8),
    CompareOrders(
        time_limit_s=LIMIT_S, batch_size=4, batch_count=8, shuffle_count=3, most_read_samples=64
    ),
    RangeTest(
        time_limit_s=LIMIT_S, micro_batch_size=4, accumulation_steps=1,
        smallest_learning_rate=1e-5, largest_learning_rate=1e-3, step_count=4,
    ),
    Verify(
        time_limit_s=LIMIT_S, micro_batch_size=4, accumulation_steps=2, learning_rate=1e-3,
        step_count=2,
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    "source", [COMPLEX, *(BASE + odd for odd in (ODD, SPARSE, DOUBLE, NESTED, JAGGED))]
)
def test_every_command_has_figures(bench: Bench, source: str) -> None:
    bench.write(source)
    worker = bench.worker()
    for command in COMMANDS:
        outcome = worker.execute(command)
        assert not isinstance(outcome, Failed), outcome
        if isinstance(outcome, TrainRun):
            assert outcome.gradient_norms is not None
        if isinstance(outcome, TaskProfile) and "nested_tensor" not in source:
            assert outcome.batch_semantics is BatchSemantics.MEAN, outcome.caveats


OPTIMIZERS = [
    "torch.optim.AdamW(params, lr, amsgrad=True)",
    "torch.optim.RMSprop(params, lr)",
    "torch.optim.SGD(params, lr, momentum=0.9)",
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_complex_gradients_are_measured_as_their_parts(bench: Bench, optimizer: str) -> None:
    # The same training twice: once of complex weights, once of their parts as real ones.
    source = (
        BASE
        + """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        weights = torch.randn(4, 3, dtype=torch.complex64)
        self.weights = nn.Parameter({wrapped})
    def forward(self, x):
        return (x.to(torch.complex64) @ {unwrapped}).abs()
def build_model():
    return Net()
def build_optimizer(params, lr):
    return {optimizer}
"""
    )
    plain = {"wrapped": "weights", "unwrapped": "self.weights"}
    parts = {
        "wrapped": "torch.view_as_real(weights).clone()",
        "unwrapped": "torch.view_as_complex(self.weights)",
    }
    found = []
    for how in (plain, parts):
        bench.write(source.format(optimizer=optimizer, **how))
        run = outcome_of(bench.worker(), TRAIN, TrainRun)
        assert run.gradient_norms is not None
        found.append(run.gradient_norms)
    ours, expected = found
    assert len(ours.raw_norms) == TRAIN.step_count
    assert ours.raw_norms == pytest.approx(expected.raw_norms, rel=1e-4)
    assert ours.small_squared_norms == pytest.approx(expected.small_squared_norms, rel=1e-3)
    assert ours.big_squared_norms == pytest.approx(expected.big_squared_norms, rel=1e-3)


def test_levers_that_complex_parameters_rule_out_are_no_defect(bench: Bench) -> None:
    bench.write(COMPLEX)
    worker = bench.worker()
    for lever in Lever:
        command = TraceMemory(time_limit_s=LIMIT_S, micro_batch_size=4, lever=lever)
        outcome = worker.execute(command)
        if lever in (Lever.EIGHT_BIT_OPTIMIZER, Lever.FUSED_OPTIMIZER):
            assert isinstance(outcome, Failed)
            assert outcome.fault.code is FaultCode.MODEL_FILE
            assert "complex parameters" in outcome.fault.message
        else:
            assert isinstance(outcome, MemoryTrace), outcome


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def build_model():\n    return nn.LazyLinear(3)\n", "lazy layers"),
        (COMPLEX_FP16, 'use `PRECISION = "bf16"`'),
        (
            'PRECISION = "fp16"\ndef build_model():\n    return nn.Linear(4, 3).half()\n',
            "Leave `.half()` out",
        ),
    ],
)
def test_what_torch_cannot_train_is_refused_with_the_remedy(
    bench: Bench, source: str, words: str
) -> None:
    bench.write(BASE + source)
    fault = fault_of(bench.worker(), InspectTask(time_limit_s=LIMIT_S))
    assert words in str(fault)
    assert fault.code is not FaultCode.WORKER


@pytest.mark.parametrize(
    ("make", "squares"),
    [
        (lambda: torch.tensor([3 + 4j]), 25.0),
        (lambda: torch.tensor([3 + 4j]).conj(), 25.0),
        (lambda: torch.tensor([[0.0, 2.0], [0.0, 0.0]]).to_sparse(), 4.0),
        (lambda: torch.sparse_coo_tensor(torch.zeros(1, 2), torch.ones(2), (2,)), 4.0),
        (lambda: torch.tensor([[0.0, 2.0], [0.0, 0.0]]).to_sparse_csr(), 4.0),
        (lambda: torch.tensor([1, 2]), 5.0),
        (lambda: torch.tensor([True, False]), 1.0),
        (lambda: torch.tensor([2.0]).to(torch.float8_e4m3fn), 4.0),
        (lambda: torch.tensor(3.0), 9.0),
        (lambda: torch.empty(0), 0.0),
    ],
)  # fmt: skip
def test_real_values_hold_what_the_tensor_holds(
    make: Callable[[], torch.Tensor], squares: float
) -> None:
    values = real_values(make())
    assert values.is_floating_point()
    assert math.isclose(float(values.double().square().sum()), squares)
