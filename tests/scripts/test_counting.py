"""A script is run with other values, and what it does is counted while nothing of it is changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bsadvise.model.commands import RunScript
from bsadvise.model.measurements import Failed, Outcome, OutOfMemory
from bsadvise.model.observation import (
    ObservationEnd,
    Place,
    PlacedValue,
    PlaceKind,
    Quantity,
    ScriptRun,
)

from advisor.worker.loop.torch_device import TorchDevice
from advisor.worker.scripts.counting import count, with_values
from tests.support.scripts import write_script
from tests.support.worker_bench import CPU

_BATCH = Quantity.MICRO_BATCH_SIZE
_RATE = Quantity.LEARNING_RATE

_SOURCE = """
    import argparse
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=100)
    args = parser.parse_args()
    LR = 0.5
    torch.manual_seed(0)
    loader = DataLoader(TensorDataset(torch.randn(400, 64)), batch_size=args.batch_size)
    model = torch.nn.Linear(64, 256)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9)
    for epoch in range(args.epochs):
        for (x,) in loader:
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
"""
_BATCH_FLAG = Place(quantity=_BATCH, kind=PlaceKind.FLAG, name="--batch-size", is_confirmed=True)
_RATE_CONSTANT = Place(
    quantity=_RATE, kind=PlaceKind.CONSTANT, name="LR", file="train.py", line=10, is_confirmed=True
)
_VALUES = (
    PlacedValue(place=_BATCH_FLAG, before=8, after=40),
    PlacedValue(place=_RATE_CONSTANT, before=0.5, after=0.0625),
)


def run(
    directory: Path, source: str, *arguments: str, limit_bytes: int | None = None, steps: int = 30
) -> Outcome:
    script = write_script(directory, source, *arguments)
    command = RunScript(time_limit_s=60.0, values=_VALUES, step_count=steps, measure_s=60.0)
    return count(script, command, TorchDevice(CPU, limit_bytes), 50.0)


def test_values_are_said_at_their_places_and_the_rest_is_as_it_was(tmp_path: Path) -> None:
    script = write_script(tmp_path, _SOURCE, "--epochs", "8")
    changed = with_values(script, _VALUES)
    assert changed.arguments == ("--epochs", "8", "--batch-size", "40")
    assert [(change.line, change.text) for change in changed.changes] == [(10, "0.0625")]
    with pytest.raises(LookupError, match="does not say 0"):
        with_values(script, [PlacedValue(place=_RATE_CONSTANT, before=0.7, after=1.0)])


def test_steps_time_memory_and_setting_are_counted(tmp_path: Path) -> None:
    outcome = run(tmp_path, _SOURCE, "--epochs", "100")
    assert isinstance(outcome, ScriptRun)
    assert outcome.end is ObservationEnd.ENOUGH_STEPS
    assert (outcome.step_count, len(outcome.step_times_s)) == (30, 27)
    assert outcome.setting is not None
    assert (outcome.setting.micro_batch_size, outcome.setting.learning_rate) == (40, 0.0625)
    # Weights, their gradients and momentum, the batch, and the outputs at least.
    weights = 4 * (64 * 256 + 256)
    assert outcome.peak_bytes is not None
    least = 3 * weights + 4 * 40 * (64 + 256)
    assert least <= outcome.peak_bytes <= least + 4 * (4 * 40 * 256)


def test_forward_passes_count_where_no_loader_gives_the_batches(tmp_path: Path) -> None:
    source = _SOURCE.replace("for (x,) in loader:", "for x in torch.randn(400, 64).split(40):")
    outcome = run(tmp_path, source)
    assert isinstance(outcome, ScriptRun)
    assert outcome.setting is None
    assert outcome.peak_bytes is not None
    assert outcome.peak_bytes >= 3 * 4 * (64 * 256 + 256) + 4 * 40 * 256


def test_what_ends_by_itself_is_counted_to_its_end(tmp_path: Path) -> None:
    outcome = run(tmp_path, _SOURCE, "--epochs", "1")
    assert isinstance(outcome, ScriptRun)
    assert (outcome.end, outcome.step_count) == (ObservationEnd.SCRIPT_ENDED, 10)


def test_counting_changes_no_loss(tmp_path: Path) -> None:
    told = _SOURCE + "    raise ValueError(float(model.weight.detach().sum()).hex())\n"
    outcome = run(tmp_path, told, "--epochs", "1")
    assert isinstance(outcome, Failed)
    torch.manual_seed(0)
    data = torch.randn(400, 64)
    model = torch.nn.Linear(64, 256)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0625, momentum=0.9)
    for step in range(10):
        optimizer.zero_grad()
        model(data[40 * step : 40 * step + 40]).square().mean().backward()
        optimizer.step()
    assert float(model.weight.detach().sum()).hex() in outcome.fault.message


def test_a_memory_limit_holds_for_it_too(tmp_path: Path) -> None:
    outcome = run(tmp_path, _SOURCE, limit_bytes=250_000)
    assert isinstance(outcome, OutOfMemory)
