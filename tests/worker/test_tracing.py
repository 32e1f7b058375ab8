"""The prediction must be what a real run then takes."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from bsadvise.model.commands import RunStep, TimeSteps, TraceMemory
from bsadvise.model.measurements import Failed, MemoryTrace, StepRun, StepTimes

from tests.support.worker_bench import ABSENT_CARD, LIMIT_S, MODELS_DIR, Bench, outcome_of


def trace(size: int, accumulation_steps: int = 1) -> TraceMemory:
    return TraceMemory(
        time_limit_s=LIMIT_S, micro_batch_size=size, accumulation_steps=accumulation_steps
    )


def run(size: int, accumulation_steps: int = 1) -> RunStep:
    return RunStep(
        time_limit_s=LIMIT_S, micro_batch_size=size, accumulation_steps=accumulation_steps
    )


def peaks(trace: MemoryTrace) -> int:
    return max(trace.peak_bytes, trace.evaluation_peak_bytes)


@pytest.mark.parametrize("accumulation_steps", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 48])
@pytest.mark.parametrize(
    "model", ["tiny_mlp", "tiny_gpt", "tiny_cnn_bn", "ragged", "synthetic", "streamed"]
)
def test_the_predicted_peak_is_that_of_a_real_run(
    bench: Bench, model: str, size: int, accumulation_steps: int
) -> None:
    worker = bench.worker(model)
    predicted = outcome_of(worker, trace(size, accumulation_steps), MemoryTrace)
    real = outcome_of(worker, run(size, accumulation_steps), StepRun)
    assert not predicted.was_run
    assert peaks(predicted) == pytest.approx(real.peak_bytes, rel=0.01)


FILE = """
    import torch
    from torch import nn
    from torch.utils.data import TensorDataset

    PRECISION = "{precision}"

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            {init}

        def forward(self, x):
            {forward}

    def _frozen(model):
        model.layers[1].requires_grad_(False)
        return model

    def build_model():
        return {build}

    def build_dataset():
        x = torch.randn(64, 5, 8, generator=torch.Generator().manual_seed(0))
        return TensorDataset(x, x.sum((1, 2))[:, None])

    def build_optimizer(params, lr):
        return {optimizer}
"""
DEFAULTS = {
    "precision": "fp32",
    "init": "self.layers = nn.Sequential(nn.Flatten(), nn.Linear(40, 64), nn.Linear(64, 1))",
    "forward": "return self.layers(x)",
    "build": "Model()",
    "optimizer": "torch.optim.SGD(params, lr=lr, momentum=0.9)",
}
GRU = {
    "init": "self.rnn = nn.GRU(8, 16, batch_first=True); self.head = nn.Linear(16, 1)",
    "forward": "return self.head(self.rnn(x)[0][:, -1])",
}
LSTM = GRU | {"init": GRU["init"].replace("GRU", "LSTM")}
SPARSE = {
    "init": "self.table = nn.Embedding(5000, 32, sparse=True); self.head = nn.Linear(32, 1)",
    "forward": "i = (x[:, :, 0] > 0).long(); return self.head(self.table(i).mean(1))",
    "optimizer": "torch.optim.SGD(params, lr=lr)",
}
SPARSE_BAG = {
    "init": "self.table = nn.EmbeddingBag(5000, 32, sparse=True, mode='mean')",
    "forward": "return self.table((x[:, :, 0] > 0).long()).mean(1, keepdim=True)",
    "optimizer": "torch.optim.SparseAdam(params, lr=lr)",
}
BRANCHING = {"forward": "x = self.layers(x); return x * 2 if x.mean() > 0 else x * 3"}


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bf16"},
        {"precision": "fp16"},
        GRU,
        {"optimizer": "torch.optim.Adam(params, lr=lr, amsgrad=True)"},
        {"optimizer": "torch.optim.AdamW(params, lr=lr, foreach=True)"},
        {"optimizer": "torch.optim.RMSprop(params, lr=lr, momentum=0.9)"},
        # Reads a value while it is built, as drop-path rates and checkpoints are read.
        {"init": DEFAULTS["init"] + "; self.rate = torch.linspace(0, 1, 3)[1].item()"},
        # Holds a tensor that is neither parameter nor buffer.
        {"init": DEFAULTS["init"] + "; self.scale = torch.ones(1) * 2",
         "forward": "return self.layers(x * self.scale)"},
        # The rest: recomputing in the backward pass, tied weights, buffers, work in place.
        {"forward": "from torch.utils.checkpoint import checkpoint; "
                    "return checkpoint(self.layers, x, use_reentrant=False)"},
        {"init": "self.a = nn.Linear(40, 40); self.b = nn.Linear(40, 40); "
                 "self.b.weight = self.a.weight",
         "forward": "return self.b(self.a(x.flatten(1)).relu()).mean(1, keepdim=True)"},
        {"init": DEFAULTS["init"] + "; self.register_buffer('table', torch.zeros(300, 40))",
         "forward": "return self.layers(x) + (x.flatten(1) @ self.table.T).mean(1, keepdim=True)"},
        {"forward": "return self.layers[2](self.layers[1](self.layers[0](x)).mul_(2).relu_())"},
        # Parameters that are frozen, and groups of their own rates.
        {"build": "_frozen(Model())", "optimizer": "torch.optim.AdamW([{'params': params[:1], "
         "'lr': lr}, {'params': params[1:], 'lr': 2 * lr}])"},
    ],
    ids=lambda changes: ",".join(f"{k}={v[:40]}" for k, v in changes.items()),
)  # fmt: skip
def test_models_of_many_kinds_are_followed(bench: Bench, changes: dict[str, str]) -> None:
    bench.write(FILE.format(**(DEFAULTS | changes)))
    worker = bench.worker()
    predicted = outcome_of(worker, trace(40, 2), MemoryTrace)
    real = outcome_of(worker, run(40, 2), StepRun)
    assert not predicted.was_run, predicted.caveats
    assert peaks(predicted) == pytest.approx(real.peak_bytes, rel=0.01)


def test_a_model_that_asks_for_a_card_by_name_is_told_so(bench: Bench) -> None:
    bench.write(FILE.format(**(DEFAULTS | {"build": "Model().to('cuda')"})))
    outcome = bench.worker().execute(trace(8))
    if torch.cuda.is_available():
        assert isinstance(outcome, MemoryTrace)
        return
    assert isinstance(outcome, Failed)
    assert outcome.fault.hook == "build_model"
    assert "device" in (outcome.fault.fix or "")


def test_the_longest_sample_may_be_named(bench: Bench) -> None:
    source = (MODELS_DIR / "ragged.py").read_text()
    bench.write(source + "\n\ndef build_longest_sample():\n    return {'tokens': torch.ones(90, "
                "dtype=torch.long), 'label': torch.tensor(1)}\n")  # fmt: skip
    worker = bench.worker()
    predicted = outcome_of(worker, trace(16), MemoryTrace)
    assert predicted.parts.input_bytes == -(-16 * 90 * 8 // 512) * 512 + 512
    real = outcome_of(worker, run(16), StepRun)
    assert peaks(predicted) == pytest.approx(real.peak_bytes, rel=0.01)


@pytest.mark.parametrize("model", ["ragged", "streamed"])
def test_samples_as_they_come_take_no_more_than_the_longest(bench: Bench, model: str) -> None:
    worker = bench.worker(model)
    typical = dataclasses.replace(trace(16), is_typical=True)
    longest = outcome_of(worker, trace(16), MemoryTrace)
    usual = outcome_of(worker, typical, MemoryTrace)
    assert not usual.was_run
    assert usual.peak_bytes <= longest.peak_bytes
    if model == "ragged":
        assert usual.parts.input_bytes < longest.parts.input_bytes
    assert usual == outcome_of(worker, typical, MemoryTrace)


def test_a_trace_takes_neither_memory_nor_time_for_its_size(bench: Bench) -> None:
    predicted = outcome_of(bench.worker("tiny_gpt"), trace(10**6), MemoryTrace)
    assert predicted.peak_bytes > 100 << 30
    assert not predicted.was_run


def test_no_sample_beyond_a_few_is_loaded(bench: Bench) -> None:
    bench.write("""
        import torch

        class Counted(torch.utils.data.Dataset):
            def __len__(self):
                return 1000

            def __getitem__(self, index):
                with open("count", "a") as file:
                    file.write("x")
                return torch.ones(8), torch.ones(1)

        def build_model():
            return torch.nn.Linear(8, 1)

        def build_dataset():
            return Counted()
    """)
    outcome_of(bench.worker(), trace(5000), MemoryTrace)
    assert len((bench.directory / "bundle" / "count").read_text()) < 100


def test_what_a_peak_is_made_of_adds_up(bench: Bench) -> None:
    for model in ("tiny_mlp", "tiny_gpt", "tiny_cnn_bn"):
        predicted = outcome_of(bench.worker(model), trace(32, 2), MemoryTrace)
        parts = dataclasses.asdict(predicted.parts)
        assert sum(parts.values()) == predicted.peak_bytes
        assert all(size >= 0 for size in parts.values())
        assert parts["parameter_bytes"] > 0
        assert parts["input_bytes"] > 0


def test_adam_keeps_two_copies_of_the_parameters(bench: Bench) -> None:
    predicted = outcome_of(bench.worker("tiny_gpt"), trace(64), MemoryTrace)
    parts = predicted.parts
    assert 2 * parts.parameter_bytes <= parts.optimizer_state_bytes < 2.3 * parts.parameter_bytes
    assert parts.activation_bytes > predicted.peak_bytes / 2


def test_activations_grow_with_the_batch_and_parameters_do_not(bench: Bench) -> None:
    worker = bench.worker("tiny_gpt")
    small = outcome_of(worker, trace(64), MemoryTrace)
    large = outcome_of(worker, trace(128), MemoryTrace)
    assert large.parts.activation_bytes == pytest.approx(2 * small.parts.activation_bytes, rel=0.02)
    assert large.parts.parameter_bytes == small.parts.parameter_bytes


def test_the_longest_sample_is_what_counts(bench: Bench) -> None:
    predicted = outcome_of(bench.worker("ragged"), trace(64), MemoryTrace)
    assert predicted.parts.input_bytes == 64 * 37 * 8 + 64 * 8


@pytest.mark.parametrize(
    "changes",
    [
        BRANCHING,
        LSTM,
        SPARSE,
        SPARSE_BAG,
        {"optimizer": "torch.optim.Adafactor(params, lr=lr)"},
    ],
)
def test_what_fakes_cannot_follow_is_run_instead(bench: Bench, changes: dict[str, str]) -> None:
    bench.write(FILE.format(**(DEFAULTS | changes)))
    worker = bench.worker()
    predicted = outcome_of(worker, trace(40), MemoryTrace)
    assert predicted.was_run
    assert "real steps" in predicted.caveats[0].text
    real = outcome_of(worker, run(40), StepRun)
    assert peaks(predicted) == real.peak_bytes


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch.compile's own
def test_a_compiled_model_is_followed_as_it_was_written(bench: Bench) -> None:
    bench.write(FILE.format(**DEFAULTS))
    eager = outcome_of(bench.worker(), trace(40), MemoryTrace)
    bench.write(FILE.format(**(DEFAULTS | {"build": "torch.compile(Model())"})))
    compiled = outcome_of(bench.worker(), trace(40), MemoryTrace)
    real = outcome_of(bench.worker(), run(40), StepRun)
    assert compiled.peak_bytes == eager.peak_bytes
    assert peaks(compiled) == real.peak_bytes
    assert not eager.caveats
    assert "torch.compile" in compiled.caveats[0].text


def test_a_card_that_is_not_here_is_followed_as_cuda_would_run(bench: Bench) -> None:
    # On CUDA AdamW updates all parameters at once, and holds temporaries for all of them.
    here = outcome_of(bench.worker("tiny_gpt"), trace(1), MemoryTrace)
    there = outcome_of(bench.worker("tiny_gpt", device=ABSENT_CARD), trace(1), MemoryTrace)
    assert there.peak_bytes > here.peak_bytes
    assert not there.was_run


def test_tensors_that_user_code_keeps_from_a_trace_do_no_harm(bench: Bench) -> None:
    bench.write("""
        import functools
        import torch
        from torch import nn

        @functools.cache
        def mask(size):
            return torch.ones(size)

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(4, 1)

            def forward(self, x):
                return self.layer(x * mask(4))

        def build_model():
            return Model()

        def make_batch(batch_size):
            return torch.randn(batch_size, 4), torch.randn(batch_size, 1)
    """)
    worker = bench.worker()
    outcome_of(worker, trace(8), MemoryTrace)
    times = outcome_of(
        worker, TimeSteps(time_limit_s=LIMIT_S, micro_batch_size=8, measure_s=0.001), StepTimes
    )
    assert len(times.step_times_s) >= 3
    real = outcome_of(worker, run(8), StepRun)
    assert real.peak_bytes > 0


def test_batches_of_lists_objects_and_numbers_are_followed(bench: Bench) -> None:
    bench.write("""
        import torch
        from dataclasses import dataclass
        from torch import nn

        @dataclass(frozen=True)
        class Batch:
            x: torch.Tensor
            boxes: list
            names: tuple
            count: int

        def build_model():
            return nn.Linear(6, 1)

        def build_dataset():
            return [(torch.ones(6), torch.ones(3, 4), f"sample") for index in range(40)]

        def collate_fn(samples):
            return {
                "x": torch.stack([x for x, _, _ in samples]),
                "boxes": [boxes for _, boxes, _ in samples],
                "names": tuple(name for _, _, name in samples),
                "count": len(samples),
            }

        def loss_fn(model, batch):
            assert len(batch["boxes"]) == batch["count"] == len(batch["x"]) == len(batch["names"])
            return model(batch["x"]).mean() + sum(boxes.sum() for boxes in batch["boxes"])
    """)
    worker = bench.worker()
    predicted = outcome_of(worker, trace(9), MemoryTrace)
    real = outcome_of(worker, run(9), StepRun)
    assert not predicted.was_run, predicted.caveats
    assert peaks(predicted) == real.peak_bytes
